/** What the operations of S3 have in common: names of buckets and objects, XML, the refusal of what isn't served. */
import { type ApiError, refusal } from './errors.js';
import { isPlainKey } from './objects.js';
import { type Call, Reply } from './operation.js';
import { escapeXml } from './services.js';

export const OBJECT_PATH = '/:bucket/*key';
export const BUCKET_PATH = '/:bucket';
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const MAX_KEY_BYTES = 1024;

/** Parameters that make another operation of a request: one of these must not be taken for a plain read or write. */
const OTHERS = new Set(
  `accelerate acl analytics attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle
  location logging metrics notification object-lock ownershipControls partNumber policy policyStatus publicAccessBlock
  replication requestPayment restore retention select tagging torrent uploadId uploads versionId versioning versions
  website`.split(/\s+/),
);

export function bucketOf(call: Call): string {
  const bucket = call.param('bucket');
  if (!BUCKET.test(bucket)) throw refusal('InvalidRequest', `"${bucket}" is not the name of a bucket`);
  return bucket;
}

export function nameOf(call: Call): { bucket: string; key: string } {
  const [bucket, key] = [bucketOf(call), call.param('key')];
  if (!isPlainKey(key) || key.endsWith('/') || Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw refusal('InvalidRequest', 'The key must be a path of 1 to 1024 bytes without "." and ".."');
  }
  return { bucket, key };
}

/** Refuses a request with a parameter that asks for something else, but for those that the operation knows. */
export function refuseOthers(call: Call, ...known: readonly string[]): void {
  const other = call.queryNames().find((name) => OTHERS.has(name) && !known.includes(name));
  if (other !== undefined) throw notServed(`Requests with ?${other} are not served here`);
}

export function notServed(text: string): ApiError {
  return refusal('NotImplemented', text);
}

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** An answer in XML: text becomes an element's content, a list repeats its element, undefined is left out. */
export function xmlReply(root: string, content: XmlContent): Reply {
  const head = '<?xml version="1.0" encoding="UTF-8"?>\n';
  return new Reply('application/xml', `${head}<${root} xmlns="${NAMESPACE}">${xml(content)}</${root}>`);
}

export interface XmlContent {
  readonly [element: string]: string | number | boolean | XmlContent | readonly XmlContent[] | undefined;
}

function xml(content: XmlContent): string {
  return Object.entries(content)
    .flatMap(([name, value]) =>
      Array.isArray(value) ? value.map((one) => [name, one] as const) : [[name, value] as const],
    )
    .filter(([, value]) => value !== undefined)
    .map(
      ([name, value]) =>
        `<${name}>${typeof value === 'object' ? xml(value) : escapeXml(String(value))}</${name}>`,
    )
    .join('');
}

/** Replaces what the folder refuses for a reason of the file system by an answer that names it. */
export function unwritable(what: string, error: unknown): ApiError {
  return refusal('InvalidRequest', `${what} can't be written: ${(error as Error).message}`);
}
