/**
 * AWS Signature Version 4, seen from the server: reads the signature of a request (Authorization header, or presigned
 * query) and computes what it must be. Pure. Canonical form: each segment of the path is encoded once more as it was
 * sent; S3 takes the path as it is, and may leave the body out of the signature.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { refusal } from './errors.js';

const ALGORITHM = 'AWS4-HMAC-SHA256';
const UNSIGNED = 'UNSIGNED-PAYLOAD';
/** What S3's clients may put in place of the body's digest, where the body comes in pieces; and whether each is signed. */
export const CHUNKED_DIGESTS: ReadonlyMap<string, { readonly isSigned: boolean }> = new Map([
  ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', { isSigned: true }],
  ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', { isSigned: true }],
  ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', { isSigned: false }],
]);
/** How far the signer's clock may be off, either way. */
const MAX_SKEW_MS = 15 * 60 * 1000;
/** Longest life of a presigned URL in seconds. */
const MAX_PRESIGNED_S = 604_800;

/** A request as it was sent. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query, as on the request line. */
  readonly url: string;
  /** Names and values in turn, as node:http gives them. */
  readonly rawHeaders: readonly string[];
}

export interface Signature {
  readonly accessKeyId: string;
  /** yyyymmdd */
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** yyyymmddThhmmssZ */
  readonly time: string;
  readonly isPresigned: boolean;
  /** Comes with temporary credentials. */
  readonly sessionToken?: string;
}

/** Reads the signature, and refuses one that is incomplete or not of this time. Throws an ApiError. */
export function readSignature(request: SignedRequest, now: Date): Signature {
  const query = queryOf(request.url);
  const header = headerOf(request, 'authorization');
  const signature = header !== undefined ? fromHeader(request, header) : fromQuery(query);
  if (!signature) {
    throw refusal('MissingAuthenticationTokenException', 'Missing Authentication Token');
  }
  if (!signature.signedHeaders.includes('host')) {
    throw refusal('InvalidSignatureException', "'Host' or ':authority' must be a 'SignedHeader'.");
  }
  checkTime(signature, query, now);
  const sessionToken =
    headerOf(request, 'x-amz-security-token') ?? parameterOf(query, 'X-Amz-Security-Token');
  return sessionToken === undefined ? signature : { ...signature, sessionToken };
}

/**
 * Refuses the request unless the signature is that of the key over this very request. Throws an ApiError. The pieces of a
 * chunked body are not looked at: `readChunked` does that.
 */
export function verifySignature(
  request: SignedRequest,
  body: Uint8Array,
  signature: Signature,
  secretAccessKey: string,
): void {
  const declared = headerOf(request, 'x-amz-content-sha256');
  const digest = digestOf(body, signature, declared);
  const expected = Buffer.from(signatureOf(request, digest, signature, secretAccessKey), 'hex');
  const given = Buffer.from(signature.signature, 'hex');
  const isSame = given.length === expected.length && timingSafeEqual(given, expected);
  if (!isSame || (declared !== undefined && declared !== digest)) {
    throw wrongSignature();
  }
}

export function wrongSignature() {
  return refusal(
    'InvalidSignatureException',
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
  );
}

/** The body's line in the canonical request: S3 may leave the body out, or prove it in pieces. */
function digestOf(body: Uint8Array, signature: Signature, declared: string | undefined): string {
  if (signature.service !== 's3') return sha256(body);
  if (declared === undefined && signature.isPresigned) return UNSIGNED;
  return declared === UNSIGNED || (declared !== undefined && CHUNKED_DIGESTS.has(declared))
    ? declared
    : sha256(body);
}

function signatureOf(request: SignedRequest, digest: string, signature: Signature, secret: string): string {
  const canonical = sha256(canonicalRequest(request, digest, signature));
  const toSign = [ALGORITHM, signature.time, scopeOf(signature), canonical].join('\n');
  return hmac(signingKey(signature, secret), toSign).toString('hex');
}

export function scopeOf({ date, region, service }: Signature): string {
  return `${date}/${region}/${service}/aws4_request`;
}

/** The key for one day, region and service. */
export function signingKey(signature: Signature, secretAccessKey: string): Buffer {
  return scopeOf(signature)
    .split('/')
    .reduce<Buffer>((previous, part) => hmac(previous, part), Buffer.from(`AWS4${secretAccessKey}`));
}

function canonicalRequest(request: SignedRequest, digest: string, signature: Signature): string {
  const mark = request.url.indexOf('?');
  const path = mark < 0 ? request.url : request.url.slice(0, mark);
  const query = queryOf(request.url)
    .filter(([name]) => !(signature.isPresigned && name === 'X-Amz-Signature'))
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort();
  const headers = signature.signedHeaders.map((name) => `${name}:${headerOf(request, name) ?? ''}\n`);
  return [
    request.method,
    signature.service === 's3' ? path : path.split('/').map(encode).join('/'),
    query.join('&'),
    headers.join(''),
    signature.signedHeaders.join(';'),
    digest,
  ].join('\n');
}

const CREDENTIAL = /^([A-Za-z0-9]{1,128})\/(\d{8})\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request$/;

function fromHeader(request: SignedRequest, header: string): Signature {
  const fields = new Map(
    header
      .slice(ALGORITHM.length)
      .split(',')
      .map((part): [string, string] => {
        const at = part.indexOf('=');
        return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
      }),
  );
  const credential = CREDENTIAL.exec(fields.get('Credential') ?? '');
  const time = headerOf(request, 'x-amz-date') ?? basicTime(headerOf(request, 'date'));
  if (!header.startsWith(`${ALGORITHM} `) || !credential || time === undefined) throw incomplete();
  return signature(credential, fields.get('SignedHeaders'), fields.get('Signature'), time, false);
}

function fromQuery(query: ReadonlyArray<readonly [string, string]>): Signature | undefined {
  const algorithm = parameterOf(query, 'X-Amz-Algorithm');
  if (algorithm === undefined) return undefined;
  const credential = CREDENTIAL.exec(parameterOf(query, 'X-Amz-Credential') ?? '');
  const time = parameterOf(query, 'X-Amz-Date');
  if (algorithm !== ALGORITHM || !credential || time === undefined) throw incomplete();
  const headers = parameterOf(query, 'X-Amz-SignedHeaders');
  return signature(credential, headers, parameterOf(query, 'X-Amz-Signature'), time, true);
}

function signature(
  credential: RegExpExecArray,
  signedHeaders: string | undefined,
  value: string | undefined,
  time: string,
  isPresigned: boolean,
): Signature {
  const [, accessKeyId, date, region, service] = credential;
  const isComplete = accessKeyId && date && region && service && signedHeaders;
  if (!isComplete || !/^[0-9a-f]{64}$/.test(value ?? '') || value === undefined) throw incomplete();
  const names = signedHeaders.split(';');
  return { accessKeyId, date, region, service, signedHeaders: names, signature: value, time, isPresigned };
}

function checkTime(signature: Signature, query: ReadonlyArray<readonly [string, string]>, now: Date): void {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(signature.time);
  const at = match
    ? Date.parse(signature.time.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'))
    : NaN;
  if (Number.isNaN(at) || !signature.time.startsWith(signature.date)) {
    throw refusal(
      'InvalidSignatureException',
      'Date in Credential scope does not match the date of the request.',
    );
  }
  const life = signature.isPresigned ? presignedLifeMs(query) : MAX_SKEW_MS;
  if (now.getTime() - at > life) {
    const bound = `${basicTimeOf(now.getTime() - life)} (${basicTimeOf(now.getTime())} - ${life / 60_000} min.)`;
    throw refusal(
      'InvalidSignatureException',
      `Signature expired: ${signature.time} is now earlier than ${bound}`,
    );
  }
  if (at - now.getTime() > MAX_SKEW_MS) {
    const bound = `${basicTimeOf(now.getTime() + MAX_SKEW_MS)} (${basicTimeOf(now.getTime())} + 15 min.)`;
    throw refusal(
      'InvalidSignatureException',
      `Signature not yet current: ${signature.time} is still later than ${bound}`,
    );
  }
}

function presignedLifeMs(query: ReadonlyArray<readonly [string, string]>): number {
  const seconds = Number(parameterOf(query, 'X-Amz-Expires'));
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_PRESIGNED_S) throw incomplete();
  return seconds * 1000;
}

function incomplete() {
  return refusal(
    'IncompleteSignatureException',
    `The signature must be ${ALGORITHM} with Credential, SignedHeaders and Signature, and carry a date.`,
  );
}

function queryOf(url: string): Array<[string, string]> {
  const mark = url.indexOf('?');
  if (mark < 0 || mark === url.length - 1) return [];
  return url
    .slice(mark + 1)
    .split('&')
    .map((part) => {
      const at = part.indexOf('=');
      return at < 0 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))];
    });
}

function parameterOf(query: ReadonlyArray<readonly [string, string]>, name: string): string | undefined {
  return query.find(([key]) => key === name)?.[1];
}

/** All values of the header in order, each trimmed and with single spaces, joined by commas. */
function headerOf(request: SignedRequest, name: string): string | undefined {
  const values: string[] = [];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    if (request.rawHeaders[index]?.toLowerCase() === name) {
      values.push((request.rawHeaders[index + 1] ?? '').trim().replace(/ +/g, ' '));
    }
  }
  return values.length === 0 ? undefined : values.join(',');
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not percent-encoded text: it can match no signature, and is taken as it stands.
    return text;
  }
}

/** RFC 3986: all but the unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function basicTime(date: string | undefined): string | undefined {
  const at = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(at) ? undefined : basicTimeOf(at);
}

function basicTimeOf(at: number): string {
  return new Date(at).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

export function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

export function hmac(key: Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}
