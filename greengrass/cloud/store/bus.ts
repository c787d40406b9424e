/** What one replica of the cloud tells all the others. */

/** `body` is the sender's business; `kind` tells listeners whether it is theirs. */
export interface BusMessage {
  readonly kind: string;
  readonly body: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Bus {
  /** Resolves when the message is kept for every other replica that lives; rejects where that is not known. */
  send(message: BusMessage): Promise<void>;
  /** `listener` gets the messages of the others, in the order of their sending; it must not throw. */
  onMessage(listener: (message: BusMessage) => void): void;
  /** Resolves when nothing that is sent from now on is missed. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** One process alone: there is nobody to tell. */
export class NoBus implements Bus {
  async send(_message: BusMessage): Promise<void> {}
  onMessage(_listener: (message: BusMessage) => void): void {}
  async start(): Promise<void> {}
  async stop(): Promise<void> {}
}
