/** Lists in pages: asks until the end or until enough items came; tokens are those of AWS's command line. */
import { z } from '../../lib/check.js';
import type { PageSettings } from './command-line.js';
import type { Input } from './input-check.js';

export type Answer = Readonly<Record<string, unknown>>;

export interface Listing {
  /** What each request brought, cut to what was asked for. */
  readonly pages: ReadonlyArray<readonly unknown[]>;
  /** For --starting-token; absent at the end of the list. */
  readonly nextToken?: string;
}

/** Where a listing goes on: the service's token, and how many items of that page were had. */
interface Place {
  readonly token: string | null;
  readonly skip: number;
}

const tokenText = z.strictObject({
  NextToken: z.string().nullish(),
  boto_truncate_amount: z.number().int().min(0).optional(),
});

/** Calls `ask` page after page. Rejects when the service gives the same token twice, which would never end. */
export async function listPages(
  ask: (input: Input) => Promise<Answer>,
  input: Input,
  resultKey: string,
  { maxItems = Number.POSITIVE_INFINITY, startingToken, pageSize }: PageSettings,
): Promise<Listing> {
  const pages: unknown[][] = [];
  let place = startingToken === undefined ? { token: null, skip: 0 } : decodeToken(startingToken);
  let wanted = maxItems;
  for (;;) {
    const answer = await ask({
      ...input,
      ...(pageSize !== undefined && { MaxResults: pageSize }),
      ...(place.token !== null && { NextToken: place.token }),
    });
    const found = answer[resultKey];
    const items = Array.isArray(found) ? found.slice(place.skip) : [];
    pages.push(items.slice(0, wanted));
    if (items.length > wanted) {
      return { pages, nextToken: encodeToken({ token: place.token, skip: place.skip + wanted }) };
    }
    wanted -= items.length;
    const next = answer.NextToken;
    if (typeof next !== 'string' || next === '') return { pages };
    if (wanted === 0) return { pages, nextToken: encodeToken({ token: next, skip: 0 }) };
    if (next === place.token) throw new Error(`the service gave the same NextToken twice: ${next}`);
    place = { token: next, skip: 0 };
  }
}

/** As AWS's command line writes it, spaces included: either of the two can go on where the other ended. */
function encodeToken({ token, skip }: Place): string {
  const rest = skip === 0 ? '' : `, "boto_truncate_amount": ${skip}`;
  return Buffer.from(`{"NextToken": ${JSON.stringify(token)}${rest}}`).toString('base64');
}

/** Anything else is taken for a token of the service itself, as --no-paginate shows them. */
function decodeToken(text: string): Place {
  try {
    const parsed = tokenText.parse(JSON.parse(Buffer.from(text, 'base64').toString('utf8')));
    return { token: parsed.NextToken ?? null, skip: parsed.boto_truncate_amount ?? 0 };
  } catch {
    return { token: text, skip: 0 };
  }
}
