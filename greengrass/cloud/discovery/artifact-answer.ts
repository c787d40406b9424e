/** An artifact as an answer that can be resumed (RFC 9110, `bytes=N-`). */
import type { ArtifactStore } from '../store/store.js';
import type { Answer } from './call.js';

export interface ArtifactOptions {
  readonly digest: string;
  readonly size: number;
  /** The request's Range header. */
  readonly range: string | undefined;
  readonly contentType: string;
}

export function artifactAnswer(
  artifacts: Pick<ArtifactStore, 'read'>,
  { digest, size, range, contentType }: ArtifactOptions,
): Answer {
  const start = startOfRange(range);
  if (start > 0 && start >= size) {
    return { status: 416, headers: [['content-range', `bytes */${size}`]], body: Buffer.alloc(0) };
  }
  return {
    status: start > 0 ? 206 : 200,
    contentType,
    headers: [
      ['etag', `"${digest}"`],
      ['accept-ranges', 'bytes'],
      ...(start > 0 ? [['content-range', `bytes ${start}-${size - 1}/${size}`] as const] : []),
    ],
    stream: { length: size - start, open: () => artifacts.read(digest, start, size - 1) },
  };
}

/** `bytes=N-`; every other form is answered with the whole, as RFC 9110 allows. */
function startOfRange(range: string | undefined): number {
  const match = /^bytes=(\d{1,15})-$/.exec(range ?? '');
  return match ? Number(match[1]) : 0;
}
