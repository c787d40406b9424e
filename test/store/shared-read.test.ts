import { SharedRead } from '../../greengrass/cloud/store/shared-read.js';

describe('a read that is shared', () => {
  it('gives nobody what was read before he asked, and reads once for all who wait', async () => {
    let value = 1;
    let reads = 0;
    const shared = new SharedRead(async () => {
      reads += 1;
      const seen = value;
      await Promise.resolve();
      return seen;
    });
    const first = shared.get();
    value = 2;
    const later = Array.from({ length: 5 }, () => shared.get());
    expect(await first).toBe(1);
    expect(await Promise.all(later)).toEqual([2, 2, 2, 2, 2]);
    expect(reads).toBe(2);
    value = 3;
    expect(await shared.get()).toBe(3);
  });

  it('goes on after a read that failed', async () => {
    let isBroken = true;
    const shared = new SharedRead(async () => {
      if (isBroken) throw new Error('away');
      return 1;
    });
    const first = shared.get();
    const second = shared.get();
    await expect(first).rejects.toThrow('away');
    isBroken = false;
    expect(await second.catch(() => 'away')).toBeDefined();
    expect(await shared.get()).toBe(1);
  });
});
