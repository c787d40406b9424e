/**
 * A load generator for HTTP/1.1 that costs less than what it loads: the request's bytes are made once, each connection
 * sends them again as soon as it has the whole answer.
 */
import { createHash, createHmac } from 'node:crypto';
import { connect, type Socket } from 'node:net';

export interface Load {
  readonly url: URL;
  readonly method: string;
  /** One for each connection. */
  readonly targets: ReadonlyArray<{ readonly path: string; readonly body?: string }>;
  readonly service: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  /** Requests in all. */
  readonly requests: number;
}

export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Rejects where an answer is not a 2xx, or fewer answers came than requests went out. */
export async function load(options: Load): Promise<LoadResult> {
  const times: number[] = [];
  let left = options.requests;
  const begun = performance.now();
  await Promise.all(
    options.targets.map(({ path, body = '' }) =>
      lane(
        options.url,
        signedRequest(options, path, body),
        () => left-- > 0,
        (ms) => times.push(ms),
      ),
    ),
  );
  const seconds = (performance.now() - begun) / 1000;
  if (times.length !== options.requests) {
    throw new Error(`${times.length} answers came to ${options.requests} requests`);
  }
  times.sort((one, other) => one - other);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { perSecond: options.requests / seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}

function lane(url: URL, bytes: Buffer, take: () => boolean, done: (ms: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(Number(url.port), url.hostname);
    socket.setNoDelay(true);
    let sent = 0;
    let buffered: Buffer = Buffer.alloc(0);
    const next = () => {
      if (!take()) {
        socket.end();
        resolve();
        return;
      }
      sent = performance.now();
      socket.write(bytes);
    };
    socket.once('connect', next);
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('the server closed the connection')));
    socket.on('data', (chunk: Buffer) => {
      buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
      const head = buffered.indexOf('\r\n\r\n');
      if (head < 0) return;
      const text = buffered.toString('latin1', 0, head);
      if (!/^HTTP\/1\.1 2\d\d/.test(text)) {
        reject(new Error(`refused: ${buffered.toString('utf8').slice(0, 600)}`));
        socket.destroy();
        return;
      }
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? 'NaN');
      if (Number.isNaN(length)) {
        // Chunked: the bench's requests have short answers, whose last chunk comes with them.
        if (!buffered.toString('latin1').endsWith('0\r\n\r\n')) return;
      } else if (buffered.length < head + 4 + length) return;
      buffered = Buffer.alloc(0);
      done(performance.now() - sent);
      next();
    });
  });
}

/** SigV4 over Host and date, as AWS's clients sign; good for fifteen minutes. */
function signedRequest(options: Load, path: string, body: string): Buffer {
  const { method, service, accessKeyId, secretAccessKey, region } = options;
  const url = new URL(path, options.url);
  const time = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
  const day = time.slice(0, 8);
  const scope = `${day}/${region}/${service}/aws4_request`;
  const digest = sha256(body);
  const canonical = [
    method,
    url.pathname,
    url.search.slice(1),
    `host:${url.host}`,
    `x-amz-date:${time}`,
    '',
    'host;x-amz-date',
    digest,
  ].join('\n');
  const key = [day, region, service, 'aws4_request'].reduce<Buffer>(
    (previous, part) => hmac(previous, part),
    Buffer.from(`AWS4${secretAccessKey}`),
  );
  const signature = hmac(key, ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')).toString(
    'hex',
  );
  return Buffer.from(
    [
      `${method} ${url.pathname}${url.search} HTTP/1.1`,
      `Host: ${url.host}`,
      `X-Amz-Date: ${time}`,
      `Authorization: AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=host;x-amz-date, Signature=${signature}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
