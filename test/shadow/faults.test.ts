/** Faults of machine and disk: kill -9, a full disk, many requests at once. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Message } from '../../greengrass/core/router/message.js';
import { GroupCommit } from '../../greengrass/core/shadow/group-commit.js';
import { ShadowService } from '../../greengrass/core/shadow/shadow-service.js';
import { createLogger, silentLogger } from '../../greengrass/lib/log.js';
import { describeAsRoot } from '../support/as-root.js';

const WRITER = fileURLToPath(new URL('./crash-writer.js', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'greengrass-shadow-faults-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function open(path: string, emit: (message: Message) => void = () => {}): Promise<ShadowService> {
  const service = new ShadowService({ path, logger: silentLogger(), emit });
  await service.start();
  return service;
}

const ask = async (service: ShadowService, key: string, operation: 'get' | 'update', body?: object) =>
  JSON.parse(
    (await service.request(key, operation, Buffer.from(body ? JSON.stringify(body) : ''))).toString(),
  ) as { code?: number; message?: string; version?: number; state?: { reported?: { n?: number } } };

describe('kill -9', () => {
  it('loses nothing that was accepted', async () => {
    const path = join(folder, 'shadow.db');
    for (let round = 0; round < 5; round++) {
      const accepted = new Map<string, number>();
      const child = spawn(process.execPath, [WRITER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
      const ended = new Promise((resolve) => child.once('close', resolve));
      let rest = '';
      let count = 0;
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop() as string;
        for (const line of lines) {
          const [thing, version] = line.split(' ') as [string, string];
          accepted.set(thing, Number(version));
          count += 1;
        }
        if (count > 50 * (round + 1)) child.kill('SIGKILL');
      });
      await ended;
      const service = await open(path);
      expect(accepted.size).toBe(4);
      for (const [thing, version] of accepted) {
        const kept = await ask(service, thing, 'get');
        expect(kept.version).toBeGreaterThanOrEqual(version);
        expect(kept.state?.reported?.n).toBeGreaterThan(0);
      }
      await service.stop();
    }
  });
});

describeAsRoot('a full disk', () => {
  let mount: string;
  beforeEach(() => {
    mount = join(folder, 'small');
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]);
  });
  afterEach(() => {
    execFileSync('umount', [mount]);
  });

  it('refuses updates with a clear error, keeps what it has and serves it; works again with room', async () => {
    const lines: string[] = [];
    const emitted: Message[] = [];
    const service = new ShadowService({
      path: join(mount, 'shadow.db'),
      logger: createLogger({ level: 'error', stream: { write: (line: string) => lines.push(line) } }),
      emit: (message) => emitted.push(message),
    });
    await service.start();
    expect(await ask(service, 'lamp', 'update', { state: { reported: { n: 1 } } })).toMatchObject({
      version: 1,
    });
    // What somebody else put there.
    for (let size = 1 << 20; size >= 1024; size >>= 1) {
      try {
        writeFileSync(join(mount, `ballast-${size}`), Buffer.alloc(size));
      } catch {
        rmSync(join(mount, `ballast-${size}`), { force: true });
      }
    }
    let version = 1;
    let refusal: Awaited<ReturnType<typeof ask>> | undefined;
    for (let n = 2; refusal === undefined; n++) {
      if (n > 2000) throw new Error('the disk never became full');
      const body = { state: { reported: { n, pad: 'x'.repeat(4000) } }, clientToken: 'tok' };
      const answer = await ask(service, 'lamp', 'update', body);
      if (answer.code === undefined) version = answer.version as number;
      else refusal = answer;
    }
    expect(refusal).toMatchObject({
      code: 500,
      message: 'The local shadow store could not be written: the disk of the core is full or faulty',
      clientToken: 'tok',
    });
    expect(emitted.at(-1)?.topic).toBe('$aws/things/lamp/shadow/update/rejected');
    expect(lines.join()).toMatch(/full/);
    // Reads beside a write that fails, in the same turn.
    const [got, failed] = await Promise.all([
      ask(service, 'lamp', 'get'),
      ask(service, 'fan', 'update', { state: { reported: { pad: 'y'.repeat(8000) } } }),
    ]);
    expect(got).toMatchObject({ version });
    expect(failed.code).toBe(500);
    execFileSync('sh', ['-c', `rm ${mount}/ballast-*`]);
    expect(await ask(service, 'lamp', 'update', { state: { reported: { pad: null } } })).toMatchObject({
      version: version + 1,
    });
    await service.stop();
    const again = await open(join(mount, 'shadow.db'));
    expect(await ask(again, 'lamp', 'get')).toMatchObject({ version: version + 1 });
    await again.stop();
  });
});

describe('many requests at once', () => {
  it('are answered in their order, each with its own version', async () => {
    const topics: string[] = [];
    const service = await open(join(folder, 'shadow.db'), ({ topic }) => topics.push(topic));
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, n) => ask(service, 'lamp', 'update', { state: { reported: { n } } })),
    );
    expect(answers.map(({ version }) => version)).toEqual(Array.from({ length: 1000 }, (_, n) => n + 1));
    expect(topics.filter((topic) => topic.endsWith('accepted'))).toHaveLength(1000);
    await service.stop();
  });

  it('beyond what may wait are refused with 429, and what waits at a stop is still stored', async () => {
    const path = join(folder, 'shadow.db');
    const service = await open(path);
    const asked = Array.from({ length: 5000 }, (_, n) => ask(service, `t${n % 50}`, 'update', { state: {} }));
    await service.stop();
    const answers = await Promise.all(asked);
    const refused = answers.filter(({ code }) => code === 429).length;
    expect(refused).toBe(5000 - 4096);
    const again = await open(path);
    const versions = await Promise.all(Array.from({ length: 50 }, (_, n) => ask(again, `t${n}`, 'get')));
    expect(versions.reduce((sum, { version = 0 }) => sum + version, 0)).toBe(4096);
    await again.stop();
  });
});

describe('the group commit', () => {
  const jobs = (commits: GroupCommit, runs: string[], told: string[], names: string[]) => {
    for (const name of names) {
      commits.add({
        run: () => {
          runs.push(name);
          if (name === 'bad') throw new Error('no room');
        },
        committed: () => {
          told.push(`${name} committed`);
          if (name === 'rude') throw new Error('listener');
        },
        failed: (error) => told.push(`${name} failed: ${error.message}`),
      });
    }
  };

  it('runs the jobs of one turn in one transaction and tells them after it', async () => {
    const log: string[] = [];
    const commits = new GroupCommit(
      (work) => {
        log.push('begin');
        work();
        log.push('commit');
      },
      () => {},
    );
    jobs(commits, log, log, ['a', 'b']);
    expect(log).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(log).toEqual(['begin', 'a', 'b', 'commit', 'a committed', 'b committed']);
  });

  it('where one can not be stored, the others still are', async () => {
    const told: string[] = [];
    const faults: string[] = [];
    const commits = new GroupCommit(
      (work) => work(),
      (error) => faults.push(error.message),
    );
    jobs(commits, [], told, ['a', 'bad', 'rude', 'b']);
    commits.flush();
    expect(told).toEqual(['a committed', 'bad failed: no room', 'rude committed', 'b committed']);
    expect(faults).toEqual(['listener']);
  });
});
