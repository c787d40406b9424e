/** Training jobs as Amazon SageMaker has them: where the model is that a job made. */
import { CheckError, checkJson, z } from '../../lib/check.js';
import { ObjectError, type TrainingJobs, trainingJobName } from '../store/object-source.js';
import type { AwsClients } from './clients.js';
import type { AwsConfig } from './config.js';
import { AwsError, type AwsServiceName, callAws } from './service-calls.js';
import { type AwsRequest, signedHeaders } from './signed-fetch.js';

const MAX_ANSWER_CHARACTERS = 1024 * 1024;

const described = z.object({
  TrainingJobStatus: z.string(),
  ModelArtifacts: z.object({ S3ModelArtifacts: z.string() }).optional(),
});
const refused = z.object({ __type: z.string().optional(), message: z.string().optional() });

export class AwsTrainingJobs implements TrainingJobs {
  readonly #clients: AwsClients;
  readonly #config: AwsConfig;
  readonly #name: AwsServiceName;

  constructor(clients: AwsClients, config: AwsConfig) {
    this.#clients = clients;
    this.#config = config;
    this.#name = clients.name('Amazon SageMaker', 'sageMaker');
  }

  /** Never cached: a job ends. Rejects with an AwsError where SageMaker could not be asked. */
  async modelOf(jobArn: string): Promise<string> {
    const name = trainingJobName(jobArn);
    if (name === undefined) throw new ObjectError(`${jobArn} is not the ARN of a SageMaker training job`);
    const region = jobArn.split(':')[3] as string;
    const subject = `training job ${jobArn}`;
    const { status, text } = await callAws(this.#name, 'DescribeTrainingJob', subject, (signal) =>
      this.#describe(name, region, signal),
    );
    if (status !== 200) throw this.#refusal(status, text, subject);
    const { TrainingJobStatus, ModelArtifacts } = this.#read(text, subject);
    if (TrainingJobStatus !== 'Completed' || !ModelArtifacts) {
      throw new ObjectError(`${subject} has made no model: its status is ${TrainingJobStatus}`);
    }
    return ModelArtifacts.S3ModelArtifacts;
  }

  async #describe(name: string, region: string, signal: AbortSignal) {
    const endpoint = this.#config.endpoints.sageMaker ?? `https://api.sagemaker.${region}.amazonaws.com`;
    const request: AwsRequest = {
      method: 'POST',
      url: new URL('/', endpoint),
      headers: {
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': 'SageMaker.DescribeTrainingJob',
      },
      body: JSON.stringify({ TrainingJobName: name }),
    };
    const identity = await this.#clients.identity();
    const headers = signedHeaders(request, { service: 'sagemaker', region, identity, now: new Date() });
    const { method, url, body = '' } = request;
    const response = await fetch(url, { method, headers, body, signal, redirect: 'error' });
    return { status: response.status, text: (await response.text()).slice(0, MAX_ANSWER_CHARACTERS) };
  }

  #read(text: string, subject: string) {
    try {
      return checkJson(described, text, 'answer of DescribeTrainingJob');
    } catch (error) {
      if (!(error instanceof CheckError)) throw error;
      throw new AwsError(
        'refused',
        `${this.#who} answered no description of ${subject}: ${error.message}`,
        error,
      );
    }
  }

  #refusal(status: number, text: string, subject: string): Error {
    let reason = `HTTP ${status}`;
    try {
      const { __type: type = '', message = '' } = checkJson(refused, text, 'refusal');
      reason = `${type.split('#').at(-1)}: ${message}`;
    } catch {
      // No JSON: a proxy's page, say.
    }
    // "Requested resource not found." is a ValidationException of SageMaker.
    if (status === 400 && /not found/i.test(reason))
      return new ObjectError(`there is no ${subject} (${reason})`);
    const what = `DescribeTrainingJob for ${subject}`;
    if (status === 403 || /AccessDenied/.test(reason)) {
      const message = `${this.#who} does not allow ${what} (${reason}). Give the credentials the permissions that docs/hybrid.md lists.`;
      return new AwsError('permission', message, undefined);
    }
    const kind = status >= 500 ? 'unreachable' : 'refused';
    return new AwsError(kind, `${this.#who} refused ${what}: ${reason}`, undefined);
  }

  get #who(): string {
    return `Amazon SageMaker (${this.#name.where})`;
  }
}
