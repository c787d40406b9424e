/**
 * Models of a group, looked up where their resources say and kept by digest, from where cores fetch them. What is known
 * already is not read again; what was changed at its source is another model at the next deployment.
 */
import type { FoundObject, ObjectSource, TrainingJobs } from '../store/object-source.js';
import { ObjectError } from '../store/object-source.js';
import type { ArtifactStore } from '../store/store.js';

/** S3 takes no larger object in one piece. */
const MAX_MODEL_BYTES = 5 * 1024 ** 3;
const MAX_KNOWN = 1_000;

export interface KeptModel {
  readonly sha256Hex: string;
  readonly sizeBytes: number;
  readonly fileName: string;
}

export interface ModelShelfOptions {
  readonly objects: ObjectSource;
  readonly jobs: TrainingJobs;
  readonly artifacts: Pick<ArtifactStore, 'keep' | 'size'>;
  readonly maxBytes?: number;
}

export class ModelShelf {
  readonly #options: ModelShelfOptions;
  /** Digests by address and version of the object. */
  readonly #known = new Map<string, string>();
  /** What is being read, so that two deployments do not read it twice. */
  readonly #reading = new Map<string, Promise<string>>();

  constructor(options: ModelShelfOptions) {
    this.#options = options;
  }

  /** Rejects with ObjectError where the object is missing or too large. */
  async fromS3(uri: string): Promise<KeptModel> {
    const found = await this.#options.objects.find(uri);
    const { sizeBytes, version, fileName } = found;
    const { maxBytes = MAX_MODEL_BYTES } = this.#options;
    if (sizeBytes > maxBytes) {
      throw new ObjectError(`${uri} has ${sizeBytes} bytes; a model has at most ${maxBytes}`);
    }
    const key = `${version} ${uri}`;
    const known = this.#known.get(key);
    if (known !== undefined && (await this.#options.artifacts.size(known)) === sizeBytes) {
      return { sha256Hex: known, sizeBytes, fileName };
    }
    const reading = this.#reading.get(key) ?? this.#read(found, uri, key);
    this.#reading.set(key, reading);
    try {
      return { sha256Hex: await reading, sizeBytes, fileName };
    } finally {
      this.#reading.delete(key);
    }
  }

  /** The model that a training job of SageMaker made. Rejects with ObjectError. */
  async fromJob(jobArn: string): Promise<KeptModel> {
    const uri = await this.#options.jobs.modelOf(jobArn);
    try {
      return await this.fromS3(uri);
    } catch (error) {
      if (!(error instanceof ObjectError)) throw error;
      throw new ObjectError(`the model of training job ${jobArn}: ${error.message}`, { cause: error });
    }
  }

  async #read(found: FoundObject, uri: string, key: string): Promise<string> {
    const content = (await found.open()) as AsyncIterable<Uint8Array>;
    const { sha256Hex, sizeBytes } = await this.#options.artifacts.keep(content);
    if (sizeBytes !== found.sizeBytes) {
      throw new ObjectError(`${uri} ended after ${sizeBytes} of ${found.sizeBytes} bytes: deploy again`);
    }
    if (this.#known.size >= MAX_KNOWN) this.#known.delete(this.#known.keys().next().value ?? '');
    this.#known.set(key, sha256Hex);
    return sha256Hex;
  }
}
