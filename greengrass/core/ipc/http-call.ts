/** A request at the workers' door, taken apart; and the ways to answer it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { WorkResult } from './work-desk.js';

/** AWS Lambda's limit of a payload. */
export const MAX_PAYLOAD_BYTES = 6 * 1024 * 1024;
/** A client that still writes when its connection breaks never reads why: so much of what is too large is let go by. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;

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

/** Raw bytes whatever the content type says: Python's urllib calls them a form. */
export function readPayload(request: IncomingMessage): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > MAX_DISCARDED_BYTES) return Promise.reject(tooLarge());
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_DISCARDED_BYTES) reject(tooLarge());
      else if (size <= MAX_PAYLOAD_BYTES) chunks.push(chunk);
      else chunks.length = 0;
    });
    request.on('end', () => {
      if (size > MAX_PAYLOAD_BYTES) reject(tooLarge());
      else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    });
    request.on('error', reject);
    request.on('close', () => reject(new Error('the request was broken off')));
  });
}

/** What a worker gives back may be refused for its size only; the item is settled with that. */
export function resultTooLarge(): WorkResult {
  const errorMessage = `Response payload size exceeded maximum allowed payload size (${MAX_PAYLOAD_BYTES} bytes).`;
  const payload = Buffer.from(JSON.stringify({ errorMessage, errorType: 'Function.ResponseSizeTooLarge' }));
  return { functionError: 'Unhandled', payload };
}

function tooLarge(): IpcRefusal {
  return new IpcRefusal(413, `the payload is larger than ${MAX_PAYLOAD_BYTES} bytes`);
}

export function header(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
}

/** Resolves when the answer is on its way, false where the peer was gone before. */
export function answer(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Buffer | string = '',
): Promise<boolean> {
  return new Promise((resolve) => {
    if (response.destroyed || response.socket?.destroyed) {
      resolve(false);
      return;
    }
    response.once('finish', () => resolve(true));
    response.once('close', () => resolve(response.writableFinished));
    response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
    response.end(body);
  });
}
