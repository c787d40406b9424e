/** An answer without an end: one JSON text on a line, at the reader's pace. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

/** Resolves when the iteration ended or the reader is gone; the iterator is always closed. */
export async function sendStream(
  items: AsyncIterable<unknown>,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' });
  response.flushHeaders();
  for await (const item of items) {
    if (signal.aborted) return;
    if (!response.write(`${JSON.stringify(item)}\n`)) {
      await once(response, 'drain', { signal }).catch(() => undefined);
    }
    if (signal.aborted) return;
  }
  response.end();
}
