/**
 * Who may connect to the local MQTT server: a client whose certificate is registered for a device of the group, under
 * that device's thing name (V1: client id = thing name). TLS has proved that the peer holds the certificate's key.
 */
import { certificateIdOfArn, thingNameOf } from '../../model/arn.js';
import type { RefusedDevice } from '../../model/device-list.js';
import type { GroupMember } from '../../model/group.js';

/** The devices of a group, by certificate. Immutable. */
export class DeviceList {
  readonly #byCertificate = new Map<string, Map<string, string>>();
  readonly #thingNames = new Set<string>();

  /** `refused`: whom the cloud no longer vouches for, whatever the group says. */
  constructor(devices: readonly GroupMember[], refused: readonly RefusedDevice[] = []) {
    const isRefused = new Set(refused.map((one) => `${one.certificateId.toLowerCase()} ${one.thingArn}`));
    for (const { thingArn, certArn } of devices) {
      const certificateId = certificateIdOfArn(certArn)?.toLowerCase();
      const thingName = thingNameOf(thingArn);
      if (certificateId === undefined || thingName === undefined) continue;
      if (isRefused.has(`${certificateId} ${thingArn}`)) continue;
      const things = this.#byCertificate.get(certificateId) ?? new Map<string, string>();
      things.set(thingName, thingArn);
      this.#byCertificate.set(certificateId, things);
      this.#thingNames.add(thingName);
    }
  }

  /** True where the certificate belongs to some device of the group. */
  knows(certificateId: string): boolean {
    return this.#byCertificate.has(certificateId);
  }

  /** True where some device of the group has this name. */
  has(thingName: string): boolean {
    return this.#thingNames.has(thingName);
  }

  /** ARN of the device that this certificate and client id speak for, or undefined. */
  identify(certificateId: string, clientId: string): string | undefined {
    return this.#byCertificate.get(certificateId)?.get(clientId);
  }
}
