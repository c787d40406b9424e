import { ShortCache } from '../../greengrass/cloud/aws/short-cache.js';

describe('answers of AWS that are kept for a short time', () => {
  let nowMs: number;
  let asked: number;
  let cache: ShortCache<string | undefined>;
  const ask = async (answer: string | undefined) => {
    asked += 1;
    return answer;
  };

  beforeEach(() => {
    nowMs = 1000;
    asked = 0;
    cache = new ShortCache(() => nowMs);
  });

  it('asks once for questions at one time and within half a minute, then again', async () => {
    await Promise.all([cache.get('a', () => ask('x')), cache.get('a', () => ask('x'))]);
    nowMs += 29_000;
    expect(await cache.get('a', () => ask('y'))).toBe('x');
    expect(asked).toBe(1);
    nowMs += 2_000;
    expect(await cache.get('a', () => ask('y'))).toBe('y');
  });

  it('keeps "there is none" for seconds only', async () => {
    expect(await cache.get('a', () => ask(undefined))).toBeUndefined();
    nowMs += 4_000;
    expect(await cache.get('a', () => ask('made meanwhile'))).toBe('made meanwhile');
  });

  it('does not keep a failure', async () => {
    await expect(cache.get('a', () => Promise.reject(new Error('down')))).rejects.toThrow('down');
    expect(await cache.get('a', () => ask('up'))).toBe('up');
  });

  it('forgets the oldest where too many are asked for', async () => {
    for (let count = 0; count <= 2_000; count++) await cache.get(`key ${count}`, () => ask('x'));
    await cache.get('key 2000', () => ask('x'));
    expect(asked).toBe(2_001);
    await cache.get('key 0', () => ask('x'));
    expect(asked).toBe(2_002);
  });
});
