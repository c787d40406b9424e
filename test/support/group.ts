/** Functions and groups for tests, through the public APIs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateDeploymentCommand,
  CreateFunctionDefinitionCommand,
  CreateSubscriptionDefinitionCommand,
  type FunctionConfiguration,
  type FunctionDefaultConfig,
  GetDeploymentStatusCommand,
  type GetDeploymentStatusCommandOutput,
} from '@aws-sdk/client-greengrass';
import { changeGroup, publishLambda, waitForDeployment } from '../../greengrass/cli/index.js';
import type { TestSystem } from './system.js';

/** Functions of tests run as nobody's user. */
export const RUN_AS = { Uid: 64001, Gid: 64001 };

export interface FunctionSource {
  readonly name: string;
  readonly runtime?: string;
  readonly handler: string;
  readonly files: Readonly<Record<string, string>>;
}

/** Publishes a function with this source; answers its ARN with the version. */
export async function publishFunction(system: TestSystem, source: FunctionSource): Promise<string> {
  const folder = join(system.folder, 'functions', source.name);
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(source.files)) writeFileSync(join(folder, name), text);
  const { runtime = 'python3.11', handler } = source;
  writeFileSync(join(folder, 'lambda.json'), JSON.stringify({ functionName: source.name, runtime, handler }));
  return (await publishLambda(system.clients, folder)).functionArn;
}

export interface GroupContent {
  readonly functions: ReadonlyArray<{ arn: string; configuration: FunctionConfiguration }>;
  readonly subscriptions: ReadonlyArray<readonly [source: string, subject: string, target: string]>;
  readonly defaults?: FunctionDefaultConfig;
}

export const IP_DETECTOR = {
  arn: 'arn:aws:lambda:::function:GGIPDetector:1',
  configuration: { Pinned: true, MemorySize: 32768, Timeout: 3 },
};

/** A new version of the system's group with these functions and subscriptions; answers its id. */
export async function defineGroup(system: TestSystem, content: GroupContent): Promise<string> {
  const { greengrass } = system.clients;
  const functions = await greengrass.send(
    new CreateFunctionDefinitionCommand({
      InitialVersion: {
        DefaultConfig: content.defaults ?? { Execution: { RunAs: RUN_AS } },
        Functions: [...content.functions, IP_DETECTOR].map(({ arn, configuration }, index) => ({
          Id: `f${index}`,
          FunctionArn: arn,
          FunctionConfiguration: configuration,
        })),
      },
    }),
  );
  const subscriptions = await greengrass.send(
    new CreateSubscriptionDefinitionCommand({
      InitialVersion: {
        Subscriptions: content.subscriptions.map(([Source, Subject, Target], index) => ({
          Id: `s${index}`,
          Source,
          Subject,
          Target,
        })),
      },
    }),
  );
  return changeGroup(system.clients, system.groupId, {
    FunctionDefinitionVersionArn: functions.LatestVersionArn ?? '',
    SubscriptionDefinitionVersionArn: subscriptions.LatestVersionArn ?? '',
  });
}

export type DeploymentOutcome = Pick<
  GetDeploymentStatusCommandOutput,
  'DeploymentStatus' | 'ErrorMessage' | 'ErrorDetails'
>;

/** Deploys the group version and waits for its end. */
export async function deploy(system: TestSystem, groupVersionId: string): Promise<DeploymentOutcome> {
  const { greengrass } = system.clients;
  const { DeploymentId = '' } = await greengrass.send(
    new CreateDeploymentCommand({
      GroupId: system.groupId,
      GroupVersionId: groupVersionId,
      DeploymentType: 'NewDeployment',
    }),
  );
  await waitForDeployment(system.clients, system.groupId, DeploymentId, { timeoutMs: 60_000 });
  return greengrass.send(new GetDeploymentStatusCommand({ GroupId: system.groupId, DeploymentId }));
}
