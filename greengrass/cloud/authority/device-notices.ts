/**
 * Devices that lose their right between two deployments: a certificate that is no longer ACTIVE, or no longer attached to
 * its thing. Cores that run a group with such a device are told at once, by the shadow of `<core>-gcm`, and ask who it is
 * over HTTPS. A thing that was taken out of a group goes with the next deployment, as on V1: a group version counts from then on.
 */

import { checkJson } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import { certificateIdOfArn, thingArn, thingNameOf } from '../../model/arn.js';
import { devicesThingName, type RefusedDevice } from '../../model/device-list.js';
import { groupDocument } from '../../model/group.js';
import type { Store } from '../store/store.js';

export interface DeviceNoticesOptions {
  readonly store: Pick<Store, 'certificates' | 'things' | 'deployments'>;
  /** Answers whether the shadow took the update. */
  readonly shadows: { update(key: string, payload: Buffer): Promise<{ readonly accepted: boolean }> };
  readonly region: string;
  readonly accountId: string;
  readonly logger: Logger;
}

export class DeviceNotices {
  constructor(private readonly options: DeviceNoticesOptions) {}

  /** The status of the certificate has changed. Never rejects: a core that can't be told asks by itself, later. */
  async certificateChanged(certificateId: string): Promise<void> {
    try {
      await this.#tell(await this.options.store.things.thingsOf(certificateId));
    } catch (error) {
      this.#log(error as Error, { certificateId });
    }
  }

  /** What is attached to the thing has changed. Never rejects. */
  async thingChanged(thingName: string): Promise<void> {
    try {
      await this.#tell([thingName]);
    } catch (error) {
      this.#log(error as Error, { thingName });
    }
  }

  /** The core's addresses have changed, so that its server certificate may lack one. Never rejects. */
  async connectivityChanged(coreThingName: string): Promise<void> {
    try {
      // Things that are no core of a group are many: they get no shadow.
      if (await this.options.store.deployments.findGroupOfCore(coreThingName))
        await this.#notify(coreThingName);
    } catch (error) {
      this.#log(error as Error, { thingName: coreThingName });
    }
  }

  /** Devices that the group's deployments admit and that have lost their right since. */
  async refused(groupId: string): Promise<RefusedDevice[]> {
    const { deployments } = this.options.store;
    const [open, deployed] = await Promise.all([
      deployments.findOpen(groupId),
      deployments.findDeployed(groupId),
    ]);
    const admitted = new Map<string, RefusedDevice>();
    for (const { document } of [open, deployed].flatMap((one) => one ?? [])) {
      for (const device of document === undefined ? [] : devicesOf(document)) {
        admitted.set(`${device.thingArn} ${device.certificateId}`, device);
      }
    }
    const refused: RefusedDevice[] = [];
    for (const device of admitted.values()) if (!(await this.#isGood(device))) refused.push(device);
    return refused;
  }

  async #isGood({ thingArn: arn, certificateId }: RefusedDevice): Promise<boolean> {
    const { certificates, things } = this.options.store;
    if ((await certificates.find(certificateId))?.status !== 'ACTIVE') return false;
    return (await things.thingsOf(certificateId)).includes(thingNameOf(arn) ?? '');
  }

  async #tell(thingNames: readonly string[]): Promise<void> {
    const { store, region, accountId } = this.options;
    const cores = new Set<string>();
    for (const name of thingNames) {
      const arn = thingArn(region, accountId, name);
      for (const core of await store.deployments.coresWithDevice(arn)) cores.add(core);
    }
    for (const core of cores) await this.#notify(core);
  }

  /** Another value each time: a shadow makes a delta of what differs. */
  async #notify(coreThingName: string): Promise<void> {
    const desired = { wireVersion: 1, change: crypto.randomUUID() };
    const body = Buffer.from(JSON.stringify({ state: { desired } }));
    const { accepted } = await this.options.shadows.update(devicesThingName(coreThingName), body);
    if (!accepted) throw new Error(`the shadow of ${devicesThingName(coreThingName)} refused the notice`);
    this.options.logger.info({ core: coreThingName }, 'Core told of a change of its devices.');
  }

  #log(error: Error, facts: object): void {
    this.options.logger.error(
      { ...facts, reason: error.message },
      'A core could not be told of a change of its devices; it asks within the hour.',
    );
  }
}

/** Devices with a certificate that was ACTIVE when the group was built. */
function devicesOf(document: string): RefusedDevice[] {
  const { Devices, GroupDefinitions } = checkJson(groupDocument, document, 'group document');
  const active = new Set(GroupDefinitions.ClientCertFingerprints.Content);
  return Devices.flatMap(({ thingArn: arn, certArn }) => {
    const certificateId = certificateIdOfArn(certArn);
    return certificateId !== undefined && active.has(certificateId) ? [{ thingArn: arn, certificateId }] : [];
  });
}
