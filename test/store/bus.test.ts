import { type BusMessage, NoBus } from '../../greengrass/cloud/store/bus.js';
import { PostgresBus, type PostgresBusOptions } from '../../greengrass/cloud/store/postgres-bus.js';
import { migratePostgres } from '../../greengrass/cloud/store/postgres-schema.js';
import { MIGRATIONS } from '../../greengrass/cloud/store/schema.js';
import { createLogger } from '../../greengrass/lib/log.js';
import { openPool, type PostgresPool } from '../../greengrass/lib/postgres.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';
import { waitFor } from '../support/wait-for.js';

it('one process has nobody to tell', async () => {
  const bus = new NoBus();
  await bus.start();
  await bus.send({ kind: 'k', body: Buffer.from('x') });
  await bus.stop();
});

describeWithPostgres('the bus of replicas', () => {
  let server: PostgresServer;
  let url = '';
  let pool: PostgresPool;
  const buses: PostgresBus[] = [];

  beforeAll(async () => {
    server = await PostgresServer.create();
  });
  afterAll(() => server?.remove());
  beforeEach(async () => {
    url = await server.createDatabase();
    pool = openPool(url, 5);
    await migratePostgres(pool, MIGRATIONS);
  });
  afterEach(async () => {
    for (const bus of buses.splice(0)) await bus.stop();
    await pool.end();
  });

  async function replica(
    options: Partial<PostgresBusOptions> = {},
  ): Promise<{ bus: PostgresBus; got: BusMessage[]; texts: () => string[] }> {
    const bus = new PostgresBus({ url, pool, ...options });
    buses.push(bus);
    const got: BusMessage[] = [];
    bus.onMessage((message) => got.push(message));
    await bus.start();
    return { bus, got, texts: () => got.map(({ body }) => body.toString()) };
  }

  const text = (body: string): BusMessage => ({ kind: 'test', body: Buffer.from(body) });

  it('tells all the others, and not the sender', async () => {
    const [one, two, three] = [await replica(), await replica(), await replica()];
    const body = Buffer.from([0, 1, 255]);
    await one.bus.send({ kind: 'publish', body, headers: { topic: 'a/b \u00e4', quote: `'"{}\\` } });
    await two.bus.send({ kind: 'plain', body: Buffer.alloc(0) });
    await waitFor(() => three.got.length === 2 && two.got.length === 1 && one.got.length === 1);
    expect(two.got).toEqual([{ kind: 'publish', body, headers: { topic: 'a/b \u00e4', quote: `'"{}\\` } }]);
    expect(one.got).toEqual([{ kind: 'plain', body: Buffer.alloc(0) }]);
    expect(three.got.map(({ kind }) => kind)).toEqual(['publish', 'plain']);
  });

  it('tells a new replica nothing that was sent before it came', async () => {
    const one = await replica();
    await one.bus.send(text('before'));
    const two = await replica();
    await one.bus.send(text('after'));
    await waitFor(() => two.got.length === 1);
    expect(two.texts()).toEqual(['after']);
  });

  it('loses, doubles and reorders nothing where many send at once', async () => {
    const replicas = [await replica(), await replica(), await replica()];
    const each = 2000;
    await Promise.all(
      replicas.flatMap(({ bus }, r) => Array.from({ length: each }, (_, n) => bus.send(text(`${r} ${n}`)))),
    );
    await waitFor(() => replicas.every(({ got }) => got.length >= 2 * each));
    for (const [me, { texts }] of replicas.entries()) {
      for (const r of [0, 1, 2].filter((other) => other !== me)) {
        const expected = Array.from({ length: each }, (_, n) => `${r} ${n}`);
        expect(texts().filter((t) => t.startsWith(`${r} `))).toEqual(expected);
      }
      expect(texts()).toHaveLength(2 * each);
    }
    const orders = [0, 1].map((r) => replicas[r]?.texts().filter((t) => t.startsWith('2 ')));
    expect(orders[0]).toEqual(orders[1]);
  });

  it('sends one message after the other', async () => {
    const [one, two] = [await replica(), await replica()];
    for (let n = 0; n < 100; n++) await one.bus.send(text(`${n}`));
    await waitFor(() => two.got.length === 100);
    expect(two.texts()).toEqual(Array.from({ length: 100 }, (_, n) => `${n}`));
  });

  it('sends what comes in one turn of the event loop together', async () => {
    const one = await replica();
    await Promise.all(Array.from({ length: 500 }, (_, n) => one.bus.send(text(`${n}`))));
    const rows = await server.query(
      'SELECT COUNT(DISTINCT xmin::text) AS commits, COUNT(*) AS n FROM bus_messages',
      url,
    );
    expect(rows).toEqual([{ commits: 1, n: 500 }]);
  });

  it('goes on where it was when a listener or a connection breaks', async () => {
    const [one, two] = [await replica(), await replica()];
    await one.bus.send(text('1'));
    await waitFor(() => two.got.length === 1);
    await server.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()`,
      url,
    );
    await one.bus.send(text('2'));
    await waitFor(() => two.got.length === 2);
    expect(two.texts()).toEqual(['1', '2']);
  });

  it('loses and doubles nothing over a restart of the server', async () => {
    const [one, two] = [await replica(), await replica()];
    const sent: Promise<void>[] = [];
    const timer = setInterval(() => sent.push(one.bus.send(text(`${sent.length}`))), 2);
    await waitFor(() => two.got.length > 20);
    await server.stop();
    await server.start();
    const after = two.got.length;
    await waitFor(() => two.got.length > after + 20);
    clearInterval(timer);
    await Promise.all(sent);
    await waitFor(() => two.got.length >= sent.length);
    expect(two.texts()).toEqual(sent.map((_, n) => `${n}`));
  });

  it('forgets old messages, but not where it stands', async () => {
    const one = await replica({ keptMs: 1, cleanEveryMs: 1 });
    const two = await replica();
    await one.bus.send(text('1'));
    await waitFor(async () => (await server.query('SELECT id FROM bus_messages', url)).length === 0);
    await one.bus.send(text('2'));
    await waitFor(() => two.got.length === 2);
    expect(two.texts()).toEqual(['1', '2']);
  });

  it('says in its log that messages were lost', async () => {
    const lines: string[] = [];
    const log = createLogger({ stream: { write: (line) => void lines.push(line) } });
    await replica({ log });
    await server.query('UPDATE bus_position SET last_id = last_id + 5, deleted_id = last_id + 5', url);
    await waitFor(() => lines.join().includes('messages of other replicas are lost'));
  });

  it('rejects what can not be sent any more', async () => {
    const one = await replica();
    await one.bus.stop();
    await expect(one.bus.send(text('late'))).rejects.toThrow('stopped');
  });
});
