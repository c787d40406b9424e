/**
 * Bodies of S3 in signed pieces (`aws-chunked`), as aws-sdk and the aws command send streams: the signature of the head is
 * the first link of a chain, each piece has the next, and what follows the pieces may have one too. Where the head says
 * UNSIGNED the pieces have none. Answers the body without its frame, and throws an ApiError where a link is wrong.
 */
import { timingSafeEqual } from 'node:crypto';
import { refusal } from './errors.js';
import {
  CHUNKED_DIGESTS,
  hmac,
  type Signature,
  scopeOf,
  sha256,
  signingKey,
  wrongSignature,
} from './sigv4.js';

/** A piece's first line holds a size and a signature. */
const MAX_LINE_BYTES = 256;
const MAX_TRAILER_BYTES = 4096;

/** Who signed the head, and with what. */
export interface Proof {
  readonly signature: Signature;
  readonly secretAccessKey: string;
}

export interface ChunkedBody {
  readonly body: Buffer;
  /** What followed the pieces, names in lower case: a checksum. */
  readonly trailer: ReadonlyMap<string, string>;
}

/** `digest` is one of CHUNKED_DIGESTS; `proof` is absent where requests are taken without signatures. */
export function readChunked(frame: Buffer, digest: string, proof?: Proof): ChunkedBody {
  const isSigned = CHUNKED_DIGESTS.get(digest)?.isSigned === true;
  const chain = isSigned && proof ? new Chain(proof.signature, proof.secretAccessKey) : undefined;
  const pieces: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = frame.subarray(at, at + MAX_LINE_BYTES).indexOf('\r\n');
    if (lineEnd < 0) throw incomplete();
    const line = frame.toString('latin1', at, at + lineEnd);
    const [, size, signature] = /^([0-9a-f]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/i.exec(line) ?? [];
    if (size === undefined) throw incomplete();
    const start = at + lineEnd + 2;
    const end = start + Number.parseInt(size, 16);
    if (end > frame.length) throw incomplete();
    const piece = frame.subarray(start, end);
    chain?.check('PAYLOAD', [sha256(''), sha256(piece)], signature);
    if (piece.length === 0) {
      return { body: Buffer.concat(pieces), trailer: readTrailer(frame.subarray(start), chain) };
    }
    if (frame.toString('latin1', end, end + 2) !== '\r\n') throw incomplete();
    pieces.push(piece);
    at = end + 2;
  }
}

function readTrailer(bytes: Buffer, chain: Chain | undefined): Map<string, string> {
  if (bytes.length > MAX_TRAILER_BYTES) throw incomplete();
  const trailer = new Map<string, string>();
  // Clients end the lines with CR LF or with LF alone.
  for (const line of bytes.toString('latin1').split(/\r?\n/)) {
    if (line === '') continue;
    const colon = line.indexOf(':');
    if (colon < 1) throw incomplete();
    trailer.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  const signature = trailer.get('x-amz-trailer-signature');
  trailer.delete('x-amz-trailer-signature');
  if (trailer.size > 0) {
    const text = [...trailer].map(([name, value]) => `${name}:${value}\n`).join('');
    chain?.check('TRAILER', [sha256(text)], signature);
  }
  return trailer;
}

/** Each signature covers the one before. */
class Chain {
  readonly #key: Buffer;
  #previous: string;

  constructor(
    readonly signature: Signature,
    secretAccessKey: string,
  ) {
    this.#key = signingKey(signature, secretAccessKey);
    this.#previous = signature.signature;
  }

  check(kind: 'PAYLOAD' | 'TRAILER', digests: readonly string[], given: string | undefined): void {
    const head = [`AWS4-HMAC-SHA256-${kind}`, this.signature.time, scopeOf(this.signature), this.#previous];
    const expected = hmac(this.#key, [...head, ...digests].join('\n'));
    const bytes = Buffer.from(given ?? '', 'hex');
    if (bytes.length !== expected.length || !timingSafeEqual(bytes, expected)) throw wrongSignature();
    this.#previous = expected.toString('hex');
  }
}

function incomplete() {
  return refusal('IncompleteBody', 'The body is not in the pieces that X-Amz-Content-Sha256 announces.');
}
