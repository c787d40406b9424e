/** A message on its way through the hub. */
export interface Message {
  /** Who sent it: `cloud`, `GGShadowService`, or the ARN of a device, function or connector of the group. */
  readonly source: string;
  readonly topic: string;
  /** Never changed by anybody once it is in a Message: many targets share it. */
  readonly payload: Buffer;
  readonly qos: 0 | 1;
}
