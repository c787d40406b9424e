import type { Input } from '../../greengrass/cli/api/input-check.js';
import { type Answer, listPages } from '../../greengrass/cli/api/paging.js';

/** A service with the items 0 to `count` - 1; its token is the number of the next item. */
function service(count: number, asked: Input[] = []) {
  return async (input: Input): Promise<Answer> => {
    asked.push(input);
    const start = Number(input.NextToken ?? 0);
    const end = start + Number(input.MaxResults ?? 2);
    const Items = Array.from({ length: count }, (_, index) => index).slice(start, end);
    return end < count ? { Items, NextToken: String(end) } : { Items };
  };
}

const decoded = (token: string | undefined) => Buffer.from(token ?? '', 'base64').toString();

describe('pages', () => {
  it('are asked for until there are no more', async () => {
    const asked: Input[] = [];
    const listing = await listPages(service(5, asked), { GroupId: 'g' }, 'Items', { pageSize: '2' });
    expect(listing).toEqual({ pages: [[0, 1], [2, 3], [4]] });
    expect(asked).toEqual([
      { GroupId: 'g', MaxResults: '2' },
      { GroupId: 'g', MaxResults: '2', NextToken: '2' },
      { GroupId: 'g', MaxResults: '2', NextToken: '4' },
    ]);
  });

  it('can be none at all', async () => {
    expect(await listPages(service(0), {}, 'Items', {})).toEqual({ pages: [[]] });
    expect(await listPages(async () => ({}), {}, 'Items', {})).toEqual({ pages: [[]] });
  });

  it.each([
    [1, [[0]], '{"NextToken": null, "boto_truncate_amount": 1}'],
    [2, [[0, 1]], '{"NextToken": "2"}'],
    [3, [[0, 1], [2]], '{"NextToken": "2", "boto_truncate_amount": 1}'],
    [5, [[0, 1], [2, 3], [4]], ''],
    [9, [[0, 1], [2, 3], [4]], ''],
  ])('end after %d items, with the token that AWS writes', async (maxItems, pages, token) => {
    const listing = await listPages(service(5), {}, 'Items', { maxItems });
    expect(listing.pages).toEqual(pages);
    expect(decoded(listing.nextToken)).toBe(token);
  });

  it('go on from any place, again and again', async () => {
    const found: unknown[] = [];
    let startingToken: string | undefined;
    do {
      const from = startingToken === undefined ? {} : { startingToken };
      const listing = await listPages(service(7), {}, 'Items', { maxItems: 1, pageSize: '3', ...from });
      found.push(...listing.pages.flat());
      startingToken = listing.nextToken;
    } while (startingToken !== undefined);
    expect(found).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('go on from a token of the service itself', async () => {
    expect(await listPages(service(5), {}, 'Items', { startingToken: '4' })).toEqual({ pages: [[4]] });
  });

  it('do not go round in circles', async () => {
    const circle = async () => ({ Items: [1], NextToken: 'same' });
    await expect(listPages(circle, {}, 'Items', {})).rejects.toThrow('the same NextToken twice: same');
  });
});
