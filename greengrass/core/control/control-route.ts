/**
 * What a part of the core offers at the control socket. A part declares its routes with these types alone; daemon.ts
 * gives them to the server.
 */

/** A request that was read and taken apart; nothing in it was checked but its size. */
export interface ControlCall {
  /** The braced pieces of the route's path, percent-decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Text of the body; empty where there is none. Check it with lib/check. */
  readonly body: string;
  /** Aborted when the caller is gone: what a stream must watch. */
  readonly signal: AbortSignal;
}

export type ControlAnswer =
  /** `body` is sent as JSON; `status` is 200 where absent. */
  | { readonly status?: number; readonly body: unknown }
  /** One JSON text on a line for each item, until the caller goes or the iteration ends. */
  | { readonly stream: AsyncIterable<unknown> };

export interface ControlRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `/shadow/{thing}`: a braced piece takes one segment. */
  readonly path: string;
  /** Throws ControlRefusal or CheckError for what the caller did wrong. */
  handle(call: ControlCall): Promise<ControlAnswer> | ControlAnswer;
}

/** A refused request: HTTP status and the reason for the person who asked. */
export class ControlRefusal extends Error {
  override readonly name = 'ControlRefusal';
  constructor(
    readonly status: 400 | 404 | 405 | 409 | 413 | 429 | 503,
    message: string,
  ) {
    super(message);
  }
}
