/**
 * A message in the bytes that it came in, which are the stream's again when the turn is over. Who looks at the payload gets
 * a copy, the same for everybody; where it only goes on to devices nobody does.
 */
import type { Message } from '../router/message.js';

export class ReceivedMessage implements Message {
  private copied: Buffer | undefined;

  constructor(
    readonly source: string,
    readonly topic: string,
    readonly qos: 0 | 1,
    private bytes: Buffer,
    private readonly from: number,
    private readonly end: number,
  ) {}

  get payload(): Buffer {
    if (this.copied === undefined) this.copied = Buffer.from(this.bytes.subarray(this.from, this.end));
    return this.copied;
  }
}
