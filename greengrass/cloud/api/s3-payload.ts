/** The body of a request to S3 as its sender meant it: out of its pieces, and held against every checksum that came along. */
import { createHash } from 'node:crypto';
import zlib from 'node:zlib';
import type { Request } from 'express';
import { type Proof, readChunked } from './aws-chunked.js';
import { refusal } from './errors.js';
import { CHUNKED_DIGESTS } from './sigv4.js';

type Digest = (body: Buffer) => string;

const hashOf =
  (name: string): Digest =>
  (body) =>
    createHash(name).update(body).digest('base64');

/** CRC-32C and CRC-64 are not looked at: Node.js has neither. CRC-32 it has from 20.15 on. */
const CHECKSUMS: ReadonlyMap<string, Digest> = new Map([
  ['content-md5', hashOf('md5')],
  ['x-amz-checksum-sha1', hashOf('sha1')],
  ['x-amz-checksum-sha256', hashOf('sha256')],
  ...(typeof zlib.crc32 === 'function' ? ([['x-amz-checksum-crc32', crc32Of]] as const) : []),
]);

/** Replaces `request.body`. Throws an ApiError where a piece's signature or a checksum is wrong. */
export function openPayload(request: Request, proof?: Proof): void {
  const given: unknown = request.body;
  if (!Buffer.isBuffer(given)) return;
  const digest = request.get('x-amz-content-sha256') ?? '';
  const { body, trailer } = CHUNKED_DIGESTS.has(digest)
    ? readChunked(given, digest, proof)
    : { body: given, trailer: new Map<string, string>() };
  const length = request.get('x-amz-decoded-content-length');
  if (length !== undefined && Number(length) !== body.length) {
    throw refusal('IncompleteBody', `${length} bytes were announced and ${body.length} came.`);
  }
  for (const [name, checksum] of CHECKSUMS) {
    const wanted = trailer.get(name) ?? request.get(name);
    if (wanted !== undefined && wanted !== checksum(body)) {
      throw refusal('BadDigest', `The ${name} you specified did not match what we received.`);
    }
  }
  request.body = body;
}

function crc32Of(body: Buffer): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(zlib.crc32(body));
  return bytes.toString('base64');
}
