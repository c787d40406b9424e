/**
 * What the cloud wants of this core: the notice in the shadow of `<core>-gda` (WIRE.md §1). The shadow is read after
 * every connect and after every delta that speaks of another deployment, so that a core that was away learns the newest
 * notice and only that.
 */
import { check, z } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import {
  type DeploymentNotice,
  deploymentNotice,
  deploymentReport,
  deploymentThingName,
} from '../../model/deployment.js';
import { shadowTopic } from '../../model/topic.js';
import type { CloudLink } from './cloud-link.js';

const shadow = z.object({
  state: z.object({
    desired: z.record(z.string(), z.unknown()).optional(),
    reported: z.record(z.string(), z.unknown()).optional(),
  }),
});

const delta = z.object({ state: z.object({ deploymentId: z.unknown().optional() }) });

export interface Notification {
  readonly notice: DeploymentNotice;
  /** The deployment that the cloud knows to be at its end; a notice of the same one has been dealt with. */
  readonly finished: string | undefined;
}

/** Calls `onNotice` whenever the shadow was read and holds a notice. */
export function watchNotices(
  thingName: string,
  link: CloudLink,
  logger: Logger,
  onNotice: (notification: Notification) => void,
): void {
  const thing = deploymentThingName(thingName);
  const ask = () => {
    link.publish(shadowTopic(thing, 'get'), '', 1).catch((error: Error) =>
      // The next connect asks again.
      logger.debug({ reason: error.message }, 'Deployment shadow could not be asked for.'),
    );
  };
  link.subscribe(shadowTopic(thing, 'get', 'accepted'), (topic, payload) => {
    const notification = read(topic, payload, logger);
    if (notification) onNotice(notification);
  });
  link.subscribe(shadowTopic(thing, 'update', 'delta'), (topic, payload) => {
    // Our own reports make deltas too; only another deployment than the reported one is news.
    if (namesDeployment(topic, payload)) ask();
  });
  link.onConnected(() => {
    logger.info({ thing }, 'Deployment agent connected to cloud.');
    ask();
  });
}

function namesDeployment(topic: string, payload: Buffer): boolean {
  try {
    return check(delta, JSON.parse(payload.toString('utf8')), topic).state.deploymentId !== undefined;
  } catch {
    // Not understood: the whole shadow tells.
    return true;
  }
}

function read(topic: string, payload: Buffer, logger: Logger): Notification | undefined {
  try {
    const { desired, reported } = check(shadow, JSON.parse(payload.toString('utf8')), topic).state;
    if (!desired?.deploymentId) return undefined;
    const present = Object.fromEntries(Object.entries(desired).filter(([, value]) => value !== null));
    const notice = check(deploymentNotice, present, `${topic}: state.desired`);
    const report = deploymentReport.safeParse(reported);
    const finished =
      report.success && report.data.status !== 'InProgress' ? report.data.deploymentId : undefined;
    return { notice, finished };
  } catch (error) {
    logger.error(
      { reason: (error as Error).message },
      'Deployment notice was not understood and was ignored.',
    );
    return undefined;
  }
}
