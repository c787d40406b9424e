/** Values of secrets as AWS Secrets Manager has them. */
import { GetSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import type { AwsClients } from './clients.js';
import { type AwsServiceName, findAtAws } from './service-calls.js';

/** One version of a secret. Exactly one of the two values is there. */
export interface AwsSecretValue {
  readonly arn: string;
  readonly name: string;
  readonly versionId: string;
  readonly stages: readonly string[];
  readonly createdAt: string;
  readonly text?: string;
  readonly binary?: Uint8Array;
}

export class AwsSecrets {
  readonly #clients: AwsClients;
  readonly #name: AwsServiceName;

  constructor(clients: AwsClients) {
    this.#clients = clients;
    this.#name = clients.name('AWS Secrets Manager', 'secretsManager');
  }

  /**
   * The version that carries the staging label; undefined where there is no such secret or version. Never cached: a
   * secret that was rotated is deployed as it is now. Rejects with an AwsError.
   */
  async value(nameOrArn: string, stage = 'AWSCURRENT'): Promise<AwsSecretValue | undefined> {
    const command = new GetSecretValueCommand({ SecretId: nameOrArn, VersionStage: stage });
    const subject = `secret ${nameOrArn}, ${stage}`;
    const answer = await findAtAws(this.#name, 'GetSecretValue', subject, (abortSignal) =>
      this.#clients.secretsManager.send(command, { abortSignal }),
    );
    if (answer?.ARN === undefined || answer.VersionId === undefined) return undefined;
    const { SecretString: text, SecretBinary: binary } = answer;
    return {
      arn: answer.ARN,
      name: answer.Name ?? nameOrArn,
      versionId: answer.VersionId,
      stages: answer.VersionStages ?? [stage],
      createdAt: (answer.CreatedDate ?? new Date(0)).toISOString(),
      ...(text === undefined ? {} : { text }),
      ...(binary === undefined ? {} : { binary }),
    };
  }
}
