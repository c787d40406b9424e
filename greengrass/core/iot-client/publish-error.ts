/**
 * Why a publish to the cloud failed: `offline` was never sent; `timeout`: no PUBACK in time; `cut`: the other side
 * ended an established connection (which is also how it refuses a publish); `lost`: the network, or our own stop.
 */
export type PublishFailure = 'offline' | 'timeout' | 'cut' | 'lost';

export class PublishError extends Error {
  override readonly name = 'PublishError';
  constructor(
    readonly failure: PublishFailure,
    message: string,
  ) {
    super(message);
  }
}
