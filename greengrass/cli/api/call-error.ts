/** The service, or the way to it, failed. `exitCode` is AWS's command line's. */
export class CallError extends Error {
  override readonly name = 'CallError';
  constructor(
    message: string,
    readonly exitCode: 252 | 253 | 254 | 255,
  ) {
    super(message);
  }
}
