/** Objects as AWS S3 has them, read for deployments: as streams, and only the version that was looked at. */
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { type FoundObject, ObjectError, type ObjectSource, parseObjectUri } from '../store/object-source.js';
import type { AwsClients } from './clients.js';
import type { AwsConfig } from './config.js';
import { AwsError, type AwsServiceName, callAws } from './service-calls.js';
import { type AwsRequest, encodeKey, signedHeaders } from './signed-fetch.js';

/** No byte for so long ends a download. */
const IDLE_LIMIT_MS = 30_000;

interface Place {
  readonly uri: string;
  readonly bucket: string;
  readonly key: string;
  readonly region: string;
}

export class AwsObjects implements ObjectSource {
  readonly #clients: AwsClients;
  readonly #config: AwsConfig;
  readonly #name: AwsServiceName;

  constructor(clients: AwsClients, config: AwsConfig) {
    this.#clients = clients;
    this.#config = config;
    this.#name = clients.name('Amazon S3', 's3');
  }

  async find(uri: string): Promise<FoundObject> {
    const parsed = parseObjectUri(uri);
    if (!parsed) throw new ObjectError(`${uri} is not the address of an object in S3`);
    let place: Place = { uri, ...parsed, region: this.#config.region };
    let response = await this.#head(place);
    // S3 tells where the bucket is to whoever asks in another region.
    const region = response.headers.get('x-amz-bucket-region');
    if (!response.ok && region !== null && region !== place.region) {
      place = { ...place, region };
      response = await this.#head(place);
    }
    if (response.status === 404) throw new ObjectError(`bucket ${parsed.bucket} has no object ${parsed.key}`);
    this.#check(response, 'HeadObject', uri);
    const etag = response.headers.get('etag');
    const sizeBytes = Number(response.headers.get('content-length') ?? Number.NaN);
    if (etag === null || !Number.isSafeInteger(sizeBytes)) {
      throw new AwsError(
        'refused',
        `Amazon S3 (${this.#name.where}) gave no size and ETag of ${uri}`,
        undefined,
      );
    }
    return {
      sizeBytes,
      version: etag,
      fileName: basename(parsed.key),
      open: () => this.#open(place, etag),
    };
  }

  #head(place: Place): Promise<Response> {
    return callAws(this.#name, 'HeadObject', place.uri, (signal) => this.#send('HEAD', place, {}, signal));
  }

  /** The time limit is for silence, not for the whole: a model can be large. */
  async #open(place: Place, etag: string): Promise<NodeJS.ReadableStream> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(new Error('nothing came for 30 s')), IDLE_LIMIT_MS);
    const end = () => stop.abort(new Error('the cloud stops'));
    this.#name.closed.addEventListener('abort', end);
    const done = () => {
      clearTimeout(timer);
      this.#name.closed.removeEventListener('abort', end);
      stop.abort();
    };
    let response: Response;
    try {
      response = await callAws(this.#name, 'GetObject', place.uri, () =>
        this.#send('GET', place, { 'if-match': etag }, stop.signal),
      );
      if (response.status === 412) {
        throw new ObjectError(`${place.uri} was changed while it was read: deploy again`);
      }
      this.#check(response, 'GetObject', place.uri);
    } catch (error) {
      done();
      throw error;
    }
    const { body } = response;
    async function* content() {
      try {
        for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
          timer.refresh();
          yield part;
        }
      } catch (error) {
        const reason = stop.signal.aborted ? (stop.signal.reason as Error).message : (error as Error).message;
        throw new ObjectError(`${place.uri} could not be read to its end from Amazon S3: ${reason}`, {
          cause: error,
        });
      } finally {
        done();
      }
    }
    return Readable.from(content(), { objectMode: false });
  }

  async #send(
    method: 'GET' | 'HEAD',
    place: Place,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Response> {
    const request: AwsRequest = { method, url: this.#urlOf(place), headers };
    const identity = await this.#clients.identity();
    const signed = signedHeaders(request, {
      ...{ service: 's3', region: place.region, identity, now: new Date() },
    });
    return fetch(request.url, { method, headers: signed, signal, redirect: 'manual' });
  }

  /** With a private endpoint the bucket is in the path, as everything that stands in for S3 has it. */
  #urlOf({ bucket, key, region }: Place): URL {
    const own = this.#config.endpoints.s3;
    if (own !== undefined) return new URL(`${own.replace(/\/$/, '')}/${bucket}/${encodeKey(key)}`);
    return new URL(`https://${bucket}.s3.${region}.amazonaws.com/${encodeKey(key)}`);
  }

  #check(response: Response, operation: string, uri: string): void {
    if (response.ok) return;
    void response.body?.cancel();
    const who = `Amazon S3 (${this.#name.where})`;
    const what = `${operation} for ${uri}`;
    if (response.status === 403) {
      const message = `${who} does not allow ${what}, or there is no such object. Give the credentials the permissions that docs/hybrid.md lists.`;
      throw new AwsError('permission', message, undefined);
    }
    const kind = response.status >= 500 ? 'unreachable' : 'refused';
    throw new AwsError(kind, `${who} refused ${what}: HTTP ${response.status}`, undefined);
  }
}
