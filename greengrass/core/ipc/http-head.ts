/**
 * Heads of HTTP/1.1 requests, read strictly: who asks is a function, which may be hostile. What two readers could take
 * differently (bare line feeds, folded lines, two lengths) is refused.
 */

/** Request line and headers together, in bytes: a client context is 16 KB. */
export const MAX_HEAD_BYTES = 48 * 1024;
const MAX_HEADERS = 100;

const REQUEST_LINE = /^([A-Z]{1,16}) (\/[\x21-\x7e]*) HTTP\/(\d)\.(\d)$/;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|(?<!\r)\n/;
const LENGTH = /^\d{1,12}$/;

/** What can't be answered by a route: the status says why, and the connection ends with it. */
export class HttpFault extends Error {
  override readonly name = 'HttpFault';
  constructor(
    readonly status: 400 | 408 | 417 | 431 | 501 | 505,
    message: string,
  ) {
    super(message);
  }
}

export interface RequestHead {
  readonly method: string;
  /** Without the query, still encoded. */
  readonly path: string;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  /** Bytes of the body; undefined where it comes in chunks. */
  readonly length: number | undefined;
  /** The connection is for one request only. */
  readonly isLast: boolean;
  /** The client waits for a word before it sends the body. */
  readonly expectsContinue: boolean;
}

/** `text`: up to the empty line, without it, one character for each byte. */
export function parseHead(text: string): RequestHead {
  if (FORBIDDEN.test(text)) throw new HttpFault(400, 'the head of the request has a forbidden character');
  const lines = text.split('\r\n');
  const [, method = '', target = '', major, minor] = REQUEST_LINE.exec(lines[0] as string) ?? [];
  if (method === '') throw new HttpFault(400, 'the first line of the request is malformed');
  if (major !== '1') throw new HttpFault(505, 'only HTTP/1 is spoken here');
  if (lines.length - 1 > MAX_HEADERS) throw new HttpFault(431, `more than ${MAX_HEADERS} headers`);
  const headers = new Map<string, string>();
  for (let at = 1; at < lines.length; at++) addHeader(headers, lines[at] as string);
  const isOld = minor === '0';
  if (!isOld && !headers.has('host')) throw new HttpFault(400, 'the Host header is missing');
  const connection = (headers.get('connection') ?? '').toLowerCase();
  const query = target.indexOf('?');
  return {
    method,
    path: query < 0 ? target : target.slice(0, query),
    headers,
    length: bodyLength(headers, isOld),
    isLast: isOld ? connection !== 'keep-alive' : connection.includes('close'),
    expectsContinue: !isOld && expectation(headers.get('expect')),
  };
}

function addHeader(headers: Map<string, string>, line: string): void {
  const colon = line.indexOf(':');
  const name = colon < 0 ? '' : line.slice(0, colon);
  if (!TOKEN.test(name)) throw new HttpFault(400, 'a header of the request is malformed');
  const key = name.toLowerCase();
  const value = trim(line, colon + 1);
  const before = headers.get(key);
  if (before === undefined) {
    headers.set(key, value);
  } else if (key.startsWith('x-amz-') || SINGLE.has(key)) {
    throw new HttpFault(400, `the header ${key} is there twice`);
  } else {
    headers.set(key, `${before}, ${value}`);
  }
}

/** Headers that must not come twice: one reader would believe the first, another the last. */
const SINGLE = new Set(['authorization', 'content-length', 'transfer-encoding', 'host', 'expect']);

/** Without spaces and tabs at both ends, in linear time. */
function trim(line: string, from: number): string {
  let start = from;
  let end = line.length;
  while (start < end && isBlank(line.charCodeAt(start))) start++;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--;
  return line.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function bodyLength(headers: ReadonlyMap<string, string>, isOld: boolean): number | undefined {
  const coding = headers.get('transfer-encoding');
  const length = headers.get('content-length');
  if (coding !== undefined) {
    if (length !== undefined) throw new HttpFault(400, 'the request has a length and is chunked');
    if (isOld || coding.toLowerCase() !== 'chunked') {
      throw new HttpFault(501, 'the only Transfer-Encoding is chunked');
    }
    return undefined;
  }
  if (length === undefined) return 0;
  if (!LENGTH.test(length)) throw new HttpFault(400, 'Content-Length is no number');
  return Number(length);
}

function expectation(value: string | undefined): boolean {
  if (value === undefined) return false;
  if (value.toLowerCase() === '100-continue') return true;
  throw new HttpFault(417, 'the only Expect is 100-continue');
}
