/**
 * Where deployments find what users keep in S3: in our own folder of objects, or, in a hybrid installation, at AWS. The
 * same for the training jobs of SageMaker, whose result is an object.
 */

/** An object that can't be read, in words for its caller. */
export class ObjectError extends Error {
  override readonly name = 'ObjectError';
}

const BUCKET = '[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]';
const FORMS = [
  // s3://BUCKET/KEY
  new RegExp(`^s3://(?<bucket>${BUCKET})/(?<key>.+)$`),
  // https://BUCKET.s3.REGION.amazonaws.com/KEY, with a hyphen before the region, or without one
  new RegExp(`^https://(?<bucket>${BUCKET})\\.s3(?:[.-][a-z0-9-]+)?\\.amazonaws\\.com(?:\\.cn)?/(?<key>.+)$`),
  // https://s3.REGION.amazonaws.com/BUCKET/KEY
  new RegExp(`^https://s3(?:[.-][a-z0-9-]+)?\\.amazonaws\\.com(?:\\.cn)?/(?<bucket>${BUCKET})/(?<key>.+)$`),
];

export interface ObjectName {
  readonly bucket: string;
  readonly key: string;
}

/** Bucket and key in an address of S3; undefined where it is none. */
export function parseObjectUri(uri: string): ObjectName | undefined {
  for (const form of FORMS) {
    const { bucket, key } = form.exec(uri)?.groups ?? {};
    if (bucket === undefined || key === undefined) continue;
    try {
      return { bucket, key: uri.startsWith('s3:') ? key : decodeURIComponent(key) };
    } catch {
      return undefined;
    }
  }
  return undefined;
}

export interface FoundObject {
  readonly sizeBytes: number;
  /** Is another one when the content is. */
  readonly version: string;
  /** Last part of the key. */
  readonly fileName: string;
  /** The content from its start. The stream fails where the object changes meanwhile. */
  open(): Promise<NodeJS.ReadableStream>;
}

export interface ObjectSource {
  /** Rejects with ObjectError where the address is none of S3, or there is no such object. */
  find(uri: string): Promise<FoundObject>;
}

export interface TrainingJobs {
  /** Address in S3 of the model that the job made. Rejects with ObjectError. */
  modelOf(jobArn: string): Promise<string>;
}

/** Name of the job in an ARN of a training job; undefined where it is none. */
export function trainingJobName(arn: string): string | undefined {
  return /^arn:aws:sagemaker:[a-z0-9-]+:\d{12}:training-job\/([a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62})$/.exec(
    arn,
  )?.[1];
}

/** Without SageMaker: the model of a job lies where SageMaker would put it, in the bucket `sagemaker`. */
export const ownTrainingJobs: TrainingJobs = {
  modelOf: async (jobArn) => {
    const name = trainingJobName(jobArn);
    if (name === undefined) throw new ObjectError(`${jobArn} is not the ARN of a SageMaker training job`);
    return `s3://sagemaker/${name}/output/model.tar.gz`;
  },
};
