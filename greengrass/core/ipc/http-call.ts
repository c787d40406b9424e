/** A request at the workers' door, taken apart; and the ways to answer it. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** AWS Lambda's limit of a payload. */
export const MAX_PAYLOAD_BYTES = 6 * 1024 * 1024;

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
export async function readPayload(request: IncomingMessage): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > MAX_PAYLOAD_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_PAYLOAD_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
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
