/**
 * HTTPS requests of AWS's services that no SDK client here speaks to (S3, SageMaker), signed with Signature Version 4 by
 * the credentials that the SDK's clients use.
 */
import { createHash, createHmac } from 'node:crypto';

export interface AwsIdentity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface AwsRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  /** Its path is encoded as it goes over the wire; it has no query. */
  readonly url: URL;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The headers that prove the request; all that were given are signed. */
export function signedHeaders(
  { method, url, headers = {}, body = '' }: AwsRequest,
  { service, region, identity, now }: { service: string; region: string; identity: AwsIdentity; now: Date },
): Record<string, string> {
  const time = now.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${time.slice(0, 8)}/${region}/${service}/aws4_request`;
  const digest = sha256(body);
  const sent: Record<string, string> = {
    ...headers,
    host: url.host,
    'x-amz-content-sha256': digest,
    'x-amz-date': time,
    ...(identity.sessionToken === undefined ? {} : { 'x-amz-security-token': identity.sessionToken }),
  };
  const names = Object.keys(sent).sort();
  const canonical = [
    method,
    // S3 signs the path as it is sent; the paths of other services have nothing to encode.
    url.pathname,
    '',
    ...names.map((name) => `${name}:${sent[name]?.trim()}`),
    '',
    names.join(';'),
    digest,
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const key = scope
    .split('/')
    .reduce<Buffer>((previous, part) => hmac(previous, part), Buffer.from(`AWS4${identity.secretAccessKey}`));
  const signature = hmac(key, toSign).toString('hex');
  const { host: _host, ...rest } = sent;
  return {
    ...rest,
    authorization: `AWS4-HMAC-SHA256 Credential=${identity.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}

/** A key of S3 as a path: each part encoded once, as S3 signs it. */
export function encodeKey(key: string): string {
  return key.split('/').map(encodePart).join('/');
}

function encodePart(part: string): string {
  return encodeURIComponent(part).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
