import { type Exclusive, LocalExclusive, PostgresExclusive } from '../../greengrass/cloud/store/exclusive.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';
import { waitFor } from '../support/wait-for.js';

/** A promise and what resolves it. */
function gate(): { open: () => void; opened: Promise<void> } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** `make` gives one more replica; both ends of each test may be the same one. */
function describeExclusive(name: string, make: () => Exclusive): void {
  describe(name, () => {
    let one: Exclusive;
    let two: Exclusive;
    beforeEach(() => {
      one = make();
      two = make();
    });
    afterEach(async () => {
      await one.stop();
      await two.stop();
    });

    it('lets nobody work on a name that somebody works on', async () => {
      let working = 0;
      let most = 0;
      let count = 0;
      const work = async () => {
        most = Math.max(most, ++working);
        const before = count;
        await new Promise((resolve) => setImmediate(resolve));
        count = before + 1;
        working--;
      };
      await Promise.all(Array.from({ length: 40 }, (_, n) => (n % 2 ? one : two).run('group', work)));
      expect(most).toBe(1);
      expect(count).toBe(40);
    });

    it('goes in the order of coming within a process', async () => {
      const order: number[] = [];
      await Promise.all([1, 2, 3, 4].map((n) => one.run('group', async () => void order.push(n))));
      expect(order).toEqual([1, 2, 3, 4]);
    });

    it('does not make different names wait for each other, however many are held', async () => {
      const all = gate();
      let held = 0;
      const names = Array.from({ length: 100 }, (_, n) => `group ${n}`);
      const work = names.map((each) =>
        one.run(each, () => {
          if (++held === names.length) all.open();
          return all.opened;
        }),
      );
      await Promise.all(work);
      expect(held).toBe(100);
    });

    it('allows work inside of work on another name', async () => {
      const nested = (outer: string) => one.run(outer, () => two.run('inner', async () => outer));
      expect(await Promise.all(['a', 'b', 'c'].map(nested))).toEqual(['a', 'b', 'c']);
    });

    it('passes a failure on and goes on with the next', async () => {
      const failed = one.run('group', async () => {
        throw new Error('broken work');
      });
      const next = two.run('group', async () => 'next');
      await expect(failed).rejects.toThrow('broken work');
      expect(await next).toBe('next');
    });
  });
}

const local = new LocalExclusive();
describeExclusive('work of one process', () => local);

describeWithPostgres('with PostgreSQL', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.create();
  });
  afterAll(() => server?.remove());

  describeExclusive('work of replicas', () => new PostgresExclusive(server.url()));

  it('needs one connection however much is held', async () => {
    const replica = new PostgresExclusive(server.url());
    const end = gate();
    const held = Array.from({ length: 50 }, (_, n) => replica.run(`thing ${n}`, () => end.opened));
    const locks = `SELECT COUNT(*) AS locks, COUNT(DISTINCT pid) AS connections FROM pg_locks WHERE locktype = 'advisory'`;
    await waitFor(async () => (await server.query(locks))[0]?.locks === 50);
    expect(await server.query(locks)).toEqual([{ locks: 50, connections: 1 }]);
    end.open();
    await Promise.all(held);
    expect(await server.query(locks)).toEqual([{ locks: 0, connections: 0 }]);
    await replica.stop();
  });

  it('lets work finish whose connection broke, and connects again for the next', async () => {
    const replica = new PostgresExclusive(server.url());
    const end = gate();
    const begun = gate();
    const work = replica.run('group', async () => {
      begun.open();
      await end.opened;
      return 'finished';
    });
    await begun.opened;
    await server.query(
      `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()`,
    );
    expect(await replica.run('other', async () => 'reconnected')).toBe('reconnected');
    end.open();
    expect(await work).toBe('finished');
    expect(await replica.run('group', async () => 'again')).toBe('again');
    await replica.stop();
  });

  it('frees what a replica held that was stopped', async () => {
    const gone = new PostgresExclusive(server.url());
    const heir = new PostgresExclusive(server.url());
    const begun = gate();
    const end = gate();
    const held = gone.run('group', async () => {
      begun.open();
      await end.opened;
    });
    await begun.opened;
    const waiting = heir.run('group', async () => 'mine');
    await gone.stop();
    expect(await waiting).toBe('mine');
    end.open();
    await held;
    await expect(gone.run('group', async () => {})).rejects.toThrow('stopping');
    await heir.stop();
  });

  it('says that the server is gone, and works again when it is back', async () => {
    const replica = new PostgresExclusive(server.url());
    await replica.run('group', async () => {});
    await server.stop();
    const error: Error = await replica.run('group', async () => {}).catch((reason) => reason);
    expect(error.message).toContain("can't be reached");
    expect(error.message).not.toContain('secret-of-tests');
    await server.start();
    expect(await replica.run('group', async () => 'back')).toBe('back');
    await replica.stop();
  });
});
