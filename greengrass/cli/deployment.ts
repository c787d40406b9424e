/** `gg deploy`: deploys the group's latest version, and waits for its end where asked. */
import {
  CreateDeploymentCommand,
  GetDeploymentStatusCommand,
  ListDeploymentsCommand,
} from '@aws-sdk/client-greengrass';
import { type Clients, present } from './clients.js';
import { findGroup, latestVersion } from './group.js';
import { stageOf } from './stage.js';

export interface DeploymentEnd {
  readonly status: string;
  readonly errorMessage?: string;
}

const POLL_MS = 200;

export async function deployGroup(
  clients: Clients,
  group: string,
): Promise<{ groupId: string; deploymentId: string }> {
  const groupId = await findGroup(clients, group);
  const { id } = await latestVersion(clients, groupId);
  const deployment = await clients.greengrass.send(
    new CreateDeploymentCommand({ GroupId: groupId, GroupVersionId: id, DeploymentType: 'NewDeployment' }),
  );
  return { groupId, deploymentId: present(deployment.DeploymentId, 'DeploymentId') };
}

/**
 * Polls GetDeploymentStatus, as V1's scripts do, until Success or Failure. Rejects when time runs out. `onStage` is told
 * how far it is.
 */
export async function waitForDeployment(
  clients: Clients,
  groupId: string,
  deploymentId: string,
  { timeoutMs, onStage }: { timeoutMs: number; onStage?: (stage: string) => void },
): Promise<DeploymentEnd> {
  const { greengrass } = clients;
  const deadline = Date.now() + timeoutMs;
  let told: string | undefined;
  for (;;) {
    const answer = await greengrass.send(
      new GetDeploymentStatusCommand({ GroupId: groupId, DeploymentId: deploymentId }),
    );
    const status = present(answer.DeploymentStatus, 'DeploymentStatus');
    if (status === 'Success' || status === 'Failure') {
      return answer.ErrorMessage === undefined ? { status } : { status, errorMessage: answer.ErrorMessage };
    }
    if (onStage) {
      const stage = (await stageOf(clients, groupId, deploymentId)) ?? status;
      if (stage !== told) onStage(stage);
      told = stage;
    }
    if (Date.now() > deadline) {
      throw new Error(
        `deployment ${deploymentId} is still ${status} after ${timeoutMs / 1000} s: is the core running and online?`,
      );
    }
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

/** Id of the group version that runs on the core as far as the cloud knows, or undefined after none or a reset. */
export async function deployedVersion({ greengrass }: Clients, GroupId: string): Promise<string | undefined> {
  let NextToken: string | undefined;
  do {
    const page = await greengrass.send(
      new ListDeploymentsCommand({ GroupId, ...(NextToken === undefined ? {} : { NextToken }) }),
    );
    for (const { DeploymentId, DeploymentType, GroupArn } of page.Deployments ?? []) {
      const { DeploymentStatus } = await greengrass.send(
        new GetDeploymentStatusCommand({ GroupId, DeploymentId }),
      );
      if (DeploymentStatus !== 'Success') continue;
      return DeploymentType?.includes('Reset') ? undefined : GroupArn?.split('/versions/')[1];
    }
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  return undefined;
}
