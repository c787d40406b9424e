/** How far a core is with a deployment: what it reports in the shadow of `<core>-gda`. */
import { GetThingShadowCommand } from '@aws-sdk/client-iot-data-plane';
import { checkJson, z } from '../lib/check.js';
import { thingNameOf } from '../model/arn.js';
import { deploymentThingName } from '../model/deployment.js';
import type { Clients } from './clients.js';
import { latestVersion } from './group.js';
import { groupContent } from './group-content.js';

const shadow = z.object({
  state: z.object({
    reported: z.object({ deploymentId: z.string().optional(), stage: z.string().nullish() }).optional(),
  }),
});

/** The stage that the core reported last for this deployment, or undefined where nothing is known of it. */
export async function stageOf(
  clients: Clients,
  groupId: string,
  deploymentId: string,
): Promise<string | undefined> {
  try {
    const { id } = await latestVersion(clients, groupId);
    const { cores } = await groupContent(clients, groupId, id);
    const core = thingNameOf(cores[0]?.ThingArn ?? '');
    if (core === undefined) return undefined;
    const { payload } = await clients.iotData.send(
      new GetThingShadowCommand({ thingName: deploymentThingName(core) }),
    );
    const text = Buffer.from(payload ?? []).toString('utf8');
    const { reported } = checkJson(shadow, text, 'shadow of the core').state;
    return reported?.deploymentId === deploymentId ? (reported.stage ?? undefined) : undefined;
  } catch {
    // Progress is a comfort: AWS, or a user who may not read shadows, has none.
    return undefined;
  }
}
