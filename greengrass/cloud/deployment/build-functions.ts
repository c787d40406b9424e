/** The functions of a group, with what Lambda keeps of them, their aliases resolved as they are now. */
import { isSystemFunctionArn, parseFunctionArn } from '../../model/arn.js';
import type { GroupFunction } from '../../model/group.js';
import type { GroupProblem } from '../../model/group-checks.js';
import type { LambdaVersion, Store } from '../store/store.js';
import type { FunctionEntry } from './definition-reader.js';

/** The deployment that the ARNs of artifacts name. */
export interface DeploymentPlace {
  readonly groupId: string;
  readonly deploymentId: string;
}

/** What can't be built goes to `problems`. */
export class FunctionBuilder {
  constructor(
    private readonly options: {
      readonly store: Pick<Store, 'lambdas'>;
      readonly region: string;
      readonly accountId: string;
    },
  ) {}

  async build(
    entry: FunctionEntry,
    input: DeploymentPlace,
    problems: GroupProblem[],
  ): Promise<GroupFunction | undefined> {
    const settings = entry.FunctionConfiguration ?? {};
    const { FunctionRuntimeOverride, ...rest } = settings;
    if (isSystemFunctionArn(entry.FunctionArn)) {
      const { Timeout, ...others } = rest;
      return {
        FunctionArn: entry.FunctionArn,
        DeploymentConfiguration: { ...others, ...(Timeout ? { Timeout } : {}) },
      };
    }
    const lambda = await this.#find(entry.FunctionArn);
    if (!lambda) {
      problems.push({
        code: 'FUNCTION_NOT_FOUND_ERROR',
        message: `Function ${entry.FunctionArn} does not exist, or its alias names $LATEST`,
      });
      return undefined;
    }
    const { region, accountId } = this.options;
    const { groupId, deploymentId } = input;
    return {
      FunctionArn: this.#functionArn(lambda),
      ArtifactArn: `arn:aws:greengrass:${region}:${accountId}:/greengrass/groups/${groupId}/deployments/${deploymentId}/artifacts/lambda/${lambda.codeSha256Hex}`,
      DeploymentConfiguration: {
        ...rest,
        Priority: 1,
        Pinned: rest.Pinned === true,
        CodeSha256: Buffer.from(lambda.codeSha256Hex, 'hex').toString('base64'),
        CodeSize: lambda.codeSizeBytes,
        Description: lambda.description,
        Handler: lambda.handler,
        Runtime: FunctionRuntimeOverride ?? lambda.runtime,
        Timeout: rest.Timeout ?? lambda.timeoutS,
      },
    };
  }

  /** A subscription may name by alias what the group names by version: what counts is the version, as it is now. */
  async resolveParties(
    subscriptions: ReadonlyArray<{ Source: string; Target: string }>,
    resolved: Map<string, string>,
  ): Promise<void> {
    for (const name of new Set(subscriptions.flatMap(({ Source, Target }) => [Source, Target]))) {
      if (resolved.has(name) || isSystemFunctionArn(name)) continue;
      const lambda = await this.#find(name);
      if (lambda) resolved.set(name, this.#functionArn(lambda));
    }
  }

  #functionArn({ functionName, version }: LambdaVersion): string {
    const { region, accountId } = this.options;
    return `arn:aws:lambda:${region}:${accountId}:function:${functionName}:${version}`;
  }

  /** The version that the ARN names, an alias resolved now. `$LATEST` can't be deployed. */
  async #find(functionArn: string): Promise<LambdaVersion | undefined> {
    const arn = parseFunctionArn(functionArn);
    const { region, accountId, store } = this.options;
    if (!arn?.qualifier || arn.region !== region || arn.accountId !== accountId) return undefined;
    const version = /^\d+$/.test(arn.qualifier)
      ? arn.qualifier
      : (await store.lambdas.findAlias(arn.name, arn.qualifier))?.functionVersion;
    return version === undefined || !/^\d+$/.test(version)
      ? undefined
      : store.lambdas.find(arn.name, version);
  }
}
