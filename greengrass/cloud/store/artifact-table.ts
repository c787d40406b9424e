/** Artifacts in the database itself, in rows of a megabyte, so that every replica has them. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { spool } from './spool.js';
import type { Sql } from './sql.js';
import type { ArtifactStore } from './store.js';

const ROW_BYTES = 1024 * 1024;
const DIGEST = /^[0-9a-f]{64}$/;

export class ArtifactTable implements ArtifactStore {
  constructor(readonly sql: Sql) {}

  async put(content: Uint8Array): Promise<string> {
    const digest = createHash('sha256').update(content).digest('hex');
    if ((await this.size(digest)) === content.length) return digest;
    await this.sql.transaction((tx) => insertArtifact(tx, digest, content.length, [content]));
    return digest;
  }

  async keep(content: AsyncIterable<Uint8Array>): Promise<{ sha256Hex: string; sizeBytes: number }> {
    // The digest comes first in the database; and a transaction that collides is made again.
    const { file, ...facts } = await spool(content, tmpdir());
    const { sha256Hex, sizeBytes } = facts;
    try {
      if ((await this.size(sha256Hex)) !== sizeBytes) {
        await this.sql.transaction((tx) =>
          insertArtifact(tx, sha256Hex, sizeBytes, createReadStream(file, { highWaterMark: ROW_BYTES })),
        );
      }
    } finally {
      await rm(file, { force: true });
    }
    return facts;
  }

  async size(sha256Hex: string): Promise<number | undefined> {
    const row = await this.sql.get<{ size: number }>(
      'SELECT size FROM artifacts WHERE sha256 = ?',
      sha256Hex,
    );
    return row?.size;
  }

  /** Reads one row at a time; no connection is held while the reader is slow. */
  read(sha256Hex: string, start = 0, end = Number.MAX_SAFE_INTEGER): NodeJS.ReadableStream {
    if (!DIGEST.test(sha256Hex)) throw new Error(`"${sha256Hex}" is not a SHA-256 in lower-case hex`);
    return Readable.from(readArtifact(this.sql, sha256Hex, start, end), { objectMode: false });
  }
}

/**
 * Keeps an artifact row by row inside the transaction; does nothing where it is there already. Rejects where the bytes
 * are not those that `digest` and `size` promise: the transaction must be given up then.
 */
export async function insertArtifact(
  tx: Sql,
  digest: string,
  size: number,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const isNew = await tx.run(
    'INSERT INTO artifacts (sha256, size) VALUES (?, ?) ON CONFLICT DO NOTHING',
    digest,
    size,
  );
  if (isNew === 0) return;
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of rowsOf(content)) {
    hash.update(chunk);
    await tx.run(
      'INSERT INTO artifact_chunks (sha256, start, content) VALUES (?, ?, ?)',
      digest,
      bytes,
      chunk,
    );
    bytes += chunk.length;
  }
  if (bytes !== size || hash.digest('hex') !== digest) {
    throw new Error(`artifact ${digest}: its content is not what its digest and size (${size} bytes) say`);
  }
}

/** The artifact's bytes from `start` to `end` (inclusive), a row at a time. */
export async function* readArtifact(
  sql: Sql,
  digest: string,
  start = 0,
  end = Number.MAX_SAFE_INTEGER,
): AsyncGenerator<Uint8Array> {
  const artifact = await sql.get<{ size: number }>('SELECT size FROM artifacts WHERE sha256 = ?', digest);
  if (!artifact) throw new Error(`artifact ${digest} is not in the store`);
  const stop = Math.min(end + 1, artifact.size);
  for (let at = start; at < stop; ) {
    const row = await sql.get<{ start: number; content: Uint8Array }>(
      `SELECT start, content FROM artifact_chunks WHERE sha256 = ? AND start <= ? ORDER BY start DESC LIMIT 1`,
      digest,
      at,
    );
    const part = row?.content.subarray(at - row.start, stop - row.start);
    if (!part || part.length === 0) throw new Error(`artifact ${digest} lacks its bytes from ${at} on`);
    yield part;
    at += part.length;
  }
}

/** The same bytes in pieces of a row's size. */
async function* rowsOf(
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of content) {
    for (let start = 0; start < piece.length; ) {
      const part = piece.subarray(start, start + ROW_BYTES - bytes);
      waiting.push(part);
      bytes += part.length;
      start += part.length;
      if (bytes < ROW_BYTES) continue;
      yield waiting.length === 1 ? part : Buffer.concat(waiting);
      waiting = [];
      bytes = 0;
    }
  }
  if (bytes > 0) yield Buffer.concat(waiting);
}
