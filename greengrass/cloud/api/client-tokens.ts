/**
 * X-Amzn-Client-Token: the same token with the same request gives the first answer again and makes nothing. The same
 * token with another request is a new one: for most operations V1's token only correlates.
 */
import { createHash } from 'node:crypto';
import { CheckError } from '../../lib/check.js';
import type { Exclusive } from '../store/exclusive.js';
import type { TokenStore } from '../store/store.js';

const TOKEN = /^[\x20-\x7e]{1,64}$/;

export interface TokenRequest {
  readonly operation: string;
  readonly token: string;
  readonly url: string;
  readonly body: Buffer;
}

export class ClientTokens {
  constructor(
    readonly store: TokenStore,
    readonly exclusive: Exclusive,
  ) {}

  /** Runs `work` once for this token and request; answers its JSON. A repetition waits for the answer to the first. */
  async once(request: TokenRequest, work: () => Promise<object | undefined>): Promise<object | undefined> {
    if (!TOKEN.test(request.token)) {
      throw new CheckError('The request is invalid', [
        { path: 'X-Amzn-Client-Token', rule: 'must be 1 to 64 ASCII characters' },
      ]);
    }
    const key = `${request.operation} ${request.token}`;
    return this.exclusive.run(`token ${key}`, () => this.#answer(key, fingerprintOf(request), work));
  }

  async #answer(key: string, fingerprint: string, work: () => Promise<object | undefined>) {
    const known = await this.store.find(key);
    if (known?.fingerprint === fingerprint) return JSON.parse(known.response) as object;
    const answer = await work();
    await this.store.put(key, fingerprint, JSON.stringify(answer ?? {}), new Date().toISOString());
    return answer;
  }
}

function fingerprintOf({ url, body }: TokenRequest): string {
  return createHash('sha256').update(url).update('\n').update(body).digest('hex');
}
