/** What cloud and core say to each other about the devices of a deployed group (WIRE.md §1 and §2). */
import { z } from '../lib/check.js';

/**
 * Thing whose shadow tells a core that something about its devices, or about its addresses, has changed. `-gcm` is V1's
 * name for the part of a core that keeps certificates; V1's core policy allows `$aws/things/<core>-*`.
 */
export function devicesThingName(coreThingName: string): string {
  return `${coreThingName}-gcm`;
}

/** A device that the deployed group names and the cloud no longer vouches for. */
export const refusedDevice = z.object({
  thingArn: z.string(),
  /** SHA-256 of the certificate, hex. */
  certificateId: z.string(),
});
export type RefusedDevice = z.infer<typeof refusedDevice>;

/** Answer of `GET /greengrass/groups/{groupId}/devices`. */
export const deviceList = z.object({ refused: z.array(refusedDevice) });
