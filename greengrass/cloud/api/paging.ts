/** Pages of lists: the size in one query parameter, an opaque token in another. */
import { CheckError } from '../../lib/check.js';
import type { Call } from './operation.js';

const DEFAULT_SIZE = 50;
const MAX_SIZE = 1000;

export interface PageNames {
  readonly size: string;
  readonly token: string;
}

export const GREENGRASS_PAGES: PageNames = { size: 'MaxResults', token: 'NextToken' };
export const IOT_PAGES: PageNames = { size: 'maxResults', token: 'nextToken' };
export const IOT_MARKERS: PageNames = { size: 'pageSize', token: 'marker' };
export const NAMED_SHADOW_PAGES: PageNames = { size: 'pageSize', token: 'nextToken' };
export const LAMBDA_PAGES: PageNames = { size: 'MaxItems', token: 'Marker' };

export interface Page<T> {
  readonly items: readonly T[];
  /** Token of the next page, where there is one. */
  readonly next?: string;
}

export interface Paging<T> {
  /** Names the list, so that a token of one list is refused by another. */
  readonly scope: string;
  readonly names: PageNames;
  fetch(limit: number, after?: string): Promise<readonly T[]>;
  keyOf(item: T): string;
}

/** One page of the list. A size or token that is none throws a CheckError. */
export function page<T>(call: Call, { names, ...list }: Paging<T>): Promise<Page<T>> {
  const token = call.query(names.token);
  return pageOfBody({ ...list, size: pageSize(call, names), token }, names.token);
}

/** One page of a list whose size and token stand in the request's body. */
export async function pageOfBody<T>(
  {
    scope,
    size,
    token,
    fetch,
    keyOf,
  }: Omit<Paging<T>, 'names'> & { size: number; token: string | undefined },
  tokenName = 'NextToken',
): Promise<Page<T>> {
  const after = token === undefined || token === '' ? undefined : keyOfToken(token, scope, tokenName);
  const items = await fetch(size + 1, after);
  if (items.length <= size) return { items };
  const shown = items.slice(0, size);
  const last = shown.at(-1);
  return { items: shown, ...(last === undefined ? {} : { next: tokenOf(keyOf(last), scope) }) };
}

/** A page of a list that is held in memory anyway; its items are in ascending order of their keys. */
export function pageOf<T>(
  call: Call,
  paging: Omit<Paging<T>, 'fetch'>,
  items: readonly T[],
): Promise<Page<T>> {
  return page(call, {
    ...paging,
    fetch: async (limit, after) => {
      const start = after === undefined ? 0 : items.findIndex((item) => paging.keyOf(item) === after) + 1;
      return items.slice(start, start + limit);
    },
  });
}

function pageSize(call: Call, names: PageNames): number {
  const text = call.query(names.size);
  if (text === undefined) return DEFAULT_SIZE;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw invalid(names.size, `must be a number from 1 on, not "${text}"`);
  return Math.min(Number(text), MAX_SIZE);
}

function tokenOf(key: string, scope: string): string {
  return Buffer.from(JSON.stringify([scope, key])).toString('base64url');
}

function keyOfToken(token: string, scope: string, tokenName: string): string {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    if (Array.isArray(value) && value[0] === scope && typeof value[1] === 'string') return value[1];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw invalid(tokenName, 'is not a token of this list');
}

function invalid(path: string, rule: string): CheckError {
  return new CheckError('The request is invalid', [{ path, rule }]);
}
