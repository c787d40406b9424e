/** A request at the workers' door, as the routes see it; and how they refuse one. */
import { MAX_PAYLOAD_BYTES } from './http-body.js';
import type { WorkResult } from './work-desk.js';

export { MAX_PAYLOAD_BYTES };

/** A refused request: status and reason. */
export class IpcRefusal extends Error {
  override readonly name = 'IpcRefusal';
  constructor(
    readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 429 | 503,
    message: string,
  ) {
    super(message);
  }
}

export interface HttpCall {
  readonly method: string;
  /** Without the query, still encoded. */
  readonly path: string;
  /** Ports of both ends of the connection. */
  readonly ports: { readonly client: number; readonly server: number };
  /** `name` in lower case; empty where it is not there. */
  header(name: string): string;
  /**
   * Raw bytes whatever the content type says: Python's urllib calls them a form. Not a byte of the body is kept before
   * somebody asks. Rejects with an IpcRefusal (413) where they are too many, with another Error where the client broke off.
   */
  payload(): Promise<Buffer>;
  /** Ends when the connection does. One signal serves all calls of a connection. */
  readonly gone: AbortSignal;
  readonly isAnswered: boolean;
  /**
   * Once for each call. Resolves when the answer is on its way, false where the peer was gone before. Where the body was not
   * read to its end the connection ends with the answer.
   */
  answer(status: number, headers: Readonly<Record<string, string>>, body?: Buffer | string): Promise<boolean>;
  /** Ends the connection without an answer. */
  breakOff(): void;
}

/** What a worker gives back may be refused for its size only; the item is settled with that. */
export function resultTooLarge(): WorkResult {
  const errorMessage = `Response payload size exceeded maximum allowed payload size (${MAX_PAYLOAD_BYTES} bytes).`;
  const payload = Buffer.from(JSON.stringify({ errorMessage, errorType: 'Function.ResponseSizeTooLarge' }));
  return { functionError: 'Unhandled', payload };
}

export function tooLarge(): IpcRefusal {
  return new IpcRefusal(413, `the payload is larger than ${MAX_PAYLOAD_BYTES} bytes`);
}
