/** Fetches a function's code from the address that Lambda gives for it: bounded in size and time, checked by digest. */
import { createHash } from 'node:crypto';

/** Lambda's quota for unpacked code; a zip can't be of use beyond it. */
const MAX_BYTES = 250 * 1024 * 1024;
/** No byte for so long ends the download. */
const IDLE_LIMIT_MS = 30_000;

export interface CodeDownload {
  readonly url: string;
  /** Base64, as Lambda gives it. */
  readonly sha256: string;
  /** What messages call it: "function double:3". */
  readonly subject: string;
  /** True where the address may be plain HTTP, because the service itself is reached so. */
  readonly mayBePlain: boolean;
  /** Ends the download when the cloud stops. */
  readonly closed: AbortSignal;
}

/** The zip. Rejects with an error that names the function and never the address, which is a key to the code. */
export async function downloadCode({
  url,
  sha256,
  subject,
  mayBePlain,
  closed,
}: CodeDownload): Promise<Buffer> {
  const fail = (reason: string, cause?: unknown) =>
    new Error(`The code of ${subject} could not be fetched from AWS Lambda: ${reason}`, { cause });
  const { protocol } = URL.canParse(url) ? new URL(url) : { protocol: '' };
  if (protocol !== 'https:' && !(mayBePlain && protocol === 'http:')) {
    throw fail('its address is not https');
  }
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(new Error('nothing came for 30 s')), IDLE_LIMIT_MS);
  const end = () => stop.abort(new Error('the cloud stops'));
  closed.addEventListener('abort', end);
  if (closed.aborted) end();
  try {
    // An answer that leads elsewhere is none of Lambda's.
    const response = await fetch(url, { signal: stop.signal, redirect: 'error' });
    if (!response.ok || !response.body) throw new Error(`the answer was HTTP ${response.status}`);
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
      timer.refresh();
      size += part.length;
      if (size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes, Lambda's limit`);
      parts.push(part);
    }
    const zip = Buffer.concat(parts);
    if (createHash('sha256').update(zip).digest('base64') !== sha256) {
      throw new Error('its SHA-256 is not the CodeSha256 that Lambda names');
    }
    return zip;
  } catch (error) {
    const { message, cause } = error as Error;
    // fetch itself says "fetch failed"; what failed is in the cause.
    const reason = (cause as Error | undefined)?.message;
    throw fail(reason ? `${message}: ${reason}` : message, error);
  } finally {
    clearTimeout(timer);
    closed.removeEventListener('abort', end);
    stop.abort();
  }
}
