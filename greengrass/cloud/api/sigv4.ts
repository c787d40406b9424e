/**
 * AWS Signature Version 4, seen from the server: reads the signature of a request (Authorization header, or presigned
 * query) and computes what it must be. Pure. Canonical form: each segment of the path is encoded once more as it was
 * sent; S3 takes the path as it is, and may leave the body out of the signature.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { refusal } from './errors.js';

const ALGORITHM = 'AWS4-HMAC-SHA256';
/** How far the signer's clock may be off, either way. */
export const MAX_SKEW_MS = 15 * 60 * 1000;
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

/** Refuses the request unless the signature is that of the key over this very request. Throws an ApiError. */
export function verifySignature(
  request: SignedRequest,
  body: Uint8Array,
  signature: Signature,
  secretAccessKey: string,
): void {
  const declared = headerOf(request, 'x-amz-content-sha256');
  const isUnsigned = signature.service === 's3' && declared === 'UNSIGNED-PAYLOAD';
  const digest = isUnsigned ? declared : sha256(body);
  const expected = Buffer.from(signatureOf(request, digest, signature, secretAccessKey), 'hex');
  const given = Buffer.from(signature.signature, 'hex');
  const isSame = given.length === expected.length && timingSafeEqual(given, expected);
  if (!isSame || (declared !== undefined && declared !== digest)) {
    throw refusal(
      'InvalidSignatureException',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    );
  }
}

function signatureOf(request: SignedRequest, digest: string, signature: Signature, secret: string): string {
  const { date, region, service, time } = signature;
  const scope = `${date}/${region}/${service}/aws4_request`;
  const toSign = [ALGORITHM, time, scope, sha256(canonicalRequest(request, digest, signature))].join('\n');
  const key = [date, region, service, 'aws4_request'].reduce<Buffer>(
    (previous, part) => hmac(previous, part),
    Buffer.from(`AWS4${secret}`),
  );
  return hmac(key, toSign).toString('hex');
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
    throw refusal('InvalidSignatureException', `Signature expired: ${signature.time} is too long ago.`);
  }
  if (at - now.getTime() > MAX_SKEW_MS) {
    throw refusal(
      'InvalidSignatureException',
      `Signature not yet current: ${signature.time} is in the future.`,
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
  return Number.isNaN(at) ? undefined : new Date(at).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}
