/** `gg deployment explain`: how far a deployment is or how it ended, what that means, and what to do. */
import {
  GetDeploymentStatusCommand,
  ListDeploymentsCommand,
  ListGroupsCommand,
} from '@aws-sdk/client-greengrass';
import type { Clients } from './clients.js';
import { type Explanation, explanationOf } from './explanations.js';
import { findGroup } from './group.js';
import { stageOf } from './stage.js';

export interface ExplainedDeployment {
  readonly deploymentId: string;
  readonly groupId: string;
  readonly type: string;
  readonly status: string;
  readonly groupVersion?: string;
  readonly createdAt?: string;
  readonly updatedAt?: string;
  /** Where the core is, or was. */
  readonly stage?: string;
  readonly reasons: ReadonlyArray<Explanation & { readonly code: string; readonly message: string }>;
}

/** `group`: name or id; without it all groups are searched. */
export async function explainDeployment(
  clients: Clients,
  deploymentId: string,
  group?: string,
): Promise<ExplainedDeployment> {
  const groupIds = group === undefined ? allGroups(clients) : [await findGroup(clients, group)];
  for await (const groupId of groupIds) {
    const found = await find(clients, groupId, deploymentId);
    if (found) return found;
  }
  throw new Error(
    `there is no deployment ${deploymentId}${group === undefined ? '' : ` of group ${group}`}: gg list-deployments --group-id ID shows them`,
  );
}

async function find(
  clients: Clients,
  GroupId: string,
  DeploymentId: string,
): Promise<ExplainedDeployment | undefined> {
  let NextToken: string | undefined;
  do {
    const page = await clients.greengrass.send(
      new ListDeploymentsCommand({ GroupId, ...(NextToken === undefined ? {} : { NextToken }) }),
    );
    const listed = page.Deployments?.find((deployment) => deployment.DeploymentId === DeploymentId);
    if (listed) {
      const answer = await clients.greengrass.send(new GetDeploymentStatusCommand({ GroupId, DeploymentId }));
      const stage = await stageOf(clients, GroupId, DeploymentId);
      const groupVersion = listed.GroupArn?.split('/versions/')[1];
      return {
        deploymentId: DeploymentId,
        groupId: GroupId,
        type: answer.DeploymentType ?? listed.DeploymentType ?? '',
        status: answer.DeploymentStatus ?? '',
        ...(groupVersion === undefined ? {} : { groupVersion }),
        ...(listed.CreatedAt === undefined ? {} : { createdAt: listed.CreatedAt }),
        ...(answer.UpdatedAt === undefined ? {} : { updatedAt: answer.UpdatedAt }),
        ...(stage === undefined ? {} : { stage }),
        reasons: (answer.ErrorDetails ?? []).map(
          ({ DetailedErrorCode: code = '', DetailedErrorMessage = '' }) => ({
            code,
            message: DetailedErrorMessage,
            ...explanationOf(code),
          }),
        ),
      };
    }
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  return undefined;
}

async function* allGroups({ greengrass }: Clients): AsyncGenerator<string> {
  let NextToken: string | undefined;
  do {
    const page = await greengrass.send(new ListGroupsCommand(NextToken === undefined ? {} : { NextToken }));
    for (const { Id } of page.Groups ?? []) if (Id) yield Id;
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
}

const WAITING: Readonly<Record<string, string>> = {
  Building: 'The cloud puts the group together.',
  Pending: 'The core has not heard of it yet: is it running and online?',
  InProgress:
    'The core has it to do. If nothing moves, the core is off or offline: it takes it up when it connects.',
};

/** For people. */
export function explanationText(deployment: ExplainedDeployment): string {
  const { deploymentId, type, status, groupId, groupVersion, createdAt, updatedAt, stage, reasons } =
    deployment;
  const version = groupVersion === undefined ? '' : `, version ${groupVersion}`;
  const lines = [
    `Deployment ${deploymentId}: ${status}`,
    `  ${type} of group ${groupId}${version}`,
    `  created ${createdAt ?? 'at an unknown time'}${updatedAt === undefined ? '' : `, last news ${updatedAt}`}`,
  ];
  if (stage !== undefined) lines.push(`  ${status === 'Failure' ? 'failed in' : 'at'} stage ${stage}`);
  const waiting = WAITING[status];
  if (waiting !== undefined) lines.push(waiting);
  if (status === 'Success') lines.push('The core runs this group.');
  for (const { code, message, meaning, advice } of reasons) {
    lines.push('', `${code}: ${meaning}`, `  ${message}`, `What to do: ${advice}`);
  }
  return lines.join('\n');
}
