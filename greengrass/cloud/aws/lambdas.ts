/**
 * Functions as AWS Lambda has them. A version that is found here is one that can be deployed: its code has been fetched
 * into our artifacts, where cores get it. Nothing is cached: an alias is what it is at the moment of the deployment.
 */
import { GetAliasCommand, GetFunctionCommand, type GetFunctionCommandOutput } from '@aws-sdk/client-lambda';
import { parseFunctionArn } from '../../model/arn.js';
import type { ArtifactStore, LambdaAlias, LambdaStore, LambdaVersion } from '../store/store.js';
import type { AwsClients } from './clients.js';
import { downloadCode } from './code-download.js';
import type { AwsConfig } from './config.js';
import { type AwsServiceName, findAtAws, notHere } from './service-calls.js';

export class AwsLambdas implements LambdaStore {
  readonly #clients: AwsClients;
  readonly #config: AwsConfig;
  readonly #artifacts: ArtifactStore;
  readonly #name: AwsServiceName;
  /** Downloads under way, by digest. */
  readonly #downloads = new Map<string, Promise<void>>();

  constructor(clients: AwsClients, config: AwsConfig, artifacts: ArtifactStore) {
    this.#clients = clients;
    this.#config = config;
    this.#artifacts = artifacts;
    this.#name = clients.name('AWS Lambda', 'lambda');
  }

  async find(functionName: string, version: string): Promise<LambdaVersion | undefined> {
    const subject = `function ${functionName}:${version}`;
    const command = new GetFunctionCommand({ FunctionName: functionName, Qualifier: version });
    const answer = await findAtAws(this.#name, 'GetFunction', subject, (abortSignal) =>
      this.#clients.lambda.send(command, { abortSignal }),
    );
    if (!answer) return undefined;
    const found = this.#describe(answer, functionName, subject);
    await this.#haveCode(found, answer.Code?.Location ?? '', subject);
    return found;
  }

  async findAlias(functionName: string, name: string): Promise<LambdaAlias | undefined> {
    const subject = `alias ${functionName}:${name}`;
    const command = new GetAliasCommand({ FunctionName: functionName, Name: name });
    const answer = await findAtAws(this.#name, 'GetAlias', subject, (abortSignal) =>
      this.#clients.lambda.send(command, { abortSignal }),
    );
    if (answer?.FunctionVersion === undefined) return undefined;
    const { FunctionVersion: functionVersion, Description: description = '', RevisionId = '' } = answer;
    return { functionName, name, functionVersion, description, revisionId: RevisionId };
  }

  readonly create = notHere('CreateFunction');
  readonly updateLatest = notHere('UpdateFunctionCode');
  readonly publish = notHere('PublishVersion');
  readonly listFunctions = notHere('ListFunctions');
  readonly listVersions = notHere('ListVersionsByFunction');
  readonly delete = notHere('DeleteFunction');
  readonly createAlias = notHere('CreateAlias');
  readonly updateAlias = notHere('UpdateAlias');
  readonly listAliases = notHere('ListAliases');
  readonly deleteAlias = notHere('DeleteAlias');

  #describe({ Configuration: found }: GetFunctionCommandOutput, functionName: string, subject: string) {
    if (found?.PackageType === 'Image') {
      throw new Error(
        `${subject} of AWS Lambda is a container image, which a core can't run: publish it as a zip`,
      );
    }
    if (!found?.Version || !found.CodeSha256 || !found.Runtime || !found.Handler) {
      throw new Error(
        `${subject} of AWS Lambda has no version, code, runtime or handler: a core can't run it`,
      );
    }
    const { accountId } = parseFunctionArn(found.FunctionArn ?? '') ?? {};
    if (accountId !== this.#config.accountId) {
      throw new Error(
        `The credentials for AWS belong to account ${accountId}, but this installation is that of account ${this.#config.accountId}: use credentials of that account`,
      );
    }
    const version: LambdaVersion = {
      functionName,
      version: found.Version,
      runtime: found.Runtime,
      handler: found.Handler,
      role: found.Role ?? '',
      description: found.Description ?? '',
      timeoutS: found.Timeout ?? 3,
      memoryMb: found.MemorySize ?? 128,
      environment: found.Environment?.Variables ?? {},
      codeSha256Hex: Buffer.from(found.CodeSha256, 'base64').toString('hex'),
      codeSizeBytes: found.CodeSize ?? 0,
      revisionId: found.RevisionId ?? '',
      lastModified: found.LastModified ?? '',
    };
    return version;
  }

  /** Fetches the code, once, where the artifacts lack it. */
  async #haveCode({ codeSha256Hex }: LambdaVersion, url: string, subject: string): Promise<void> {
    if ((await this.#artifacts.size(codeSha256Hex)) !== undefined) return;
    const sha256 = Buffer.from(codeSha256Hex, 'hex').toString('base64');
    const mayBePlain = this.#config.endpoints.lambda?.startsWith('http:') === true;
    const download =
      this.#downloads.get(codeSha256Hex) ??
      downloadCode({ url, sha256, subject, mayBePlain, closed: this.#name.closed }).then(async (zip) => {
        await this.#artifacts.put(zip);
      });
    this.#downloads.set(codeSha256Hex, download);
    try {
      await download;
    } finally {
      this.#downloads.delete(codeSha256Hex);
    }
  }
}
