/** A compiled `bootstrap` on the Runtime API: what it gets, what its errors become, and what it can't break. */

import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { describeAsRoot } from '../support/as-root.js';
import { type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';
import { BOOTSTRAP } from './bootstrap.js';
import { CALLER, type Invocation, invoke } from './caller.js';

const hasCompiler = (await run('cc', ['--version']).catch(() => undefined))?.code === 0;
if (!hasCompiler)
  console.warn('skipped: bootstrap in C, there is no C compiler (apt-get install gcc libc6-dev)');

(hasCompiler ? describeAsRoot : describe.skip)('a bootstrap in C', () => {
  let folder: string;
  let bench: FunctionBench;
  let caller: DeployedFunction;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'greengrass-bootstrap-'));
    writeFileSync(join(folder, 'bootstrap.c'), BOOTSTRAP);
    const built = await run('cc', [
      '-O1',
      '-w',
      join(folder, 'bootstrap.c'),
      '-o',
      join(folder, 'bootstrap'),
    ]);
    expect(built).toMatchObject({ code: 0 });
    bench = await startFunctions();
    caller = bench.define(
      'caller',
      { 'main.py': CALLER },
      { timeoutMs: 30_000, memoryKb: 262144, pinned: true },
    );
  });
  afterAll(async () => {
    await bench?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function deployed(overrides: Partial<DeployedFunction> = {}): Promise<DeployedFunction> {
    const f = bench.define('compiled', {}, { runtime: 'provided.al2023', handler: 'plain', ...overrides });
    await bench.deploy(caller);
    copyFileSync(join(folder, 'bootstrap'), join(f.codeFolder, 'bootstrap'));
    await bench.deploy(caller, f);
    bench.entries.length = 0;
    bench.lines.length = 0;
    return f;
  }

  const ask = (f: DeployedFunction, payload: unknown, more: object = {}): Promise<Invocation> =>
    invoke(bench, caller, f, payload, more);
  const said = (f: DeployedFunction) =>
    bench.entries.filter(({ functionArn }) => functionArn === f.arn).map(({ message }) => message);
  const workers = (f: DeployedFunction) =>
    bench.lines.filter(({ msg, functionArn }) => msg === 'Created worker.' && functionArn === f.arn).length;

  it.each([
    ['in a container', {}],
    ['without one', { isolation: 'NoContainer' as const }],
  ])('gets event, ARN, context and the time that is left: %s', async (_where, overrides) => {
    const f = await deployed({ timeoutMs: 7000, ...overrides });
    const { error, payload } = await ask(f, { n: [1, 'ü'] }, { custom: { subject: 'a/b', who: 'größe' } });
    const answer = JSON.parse(payload as string) as { left: number };
    expect(error).toBe('');
    expect(answer).toMatchObject({
      event: { n: [1, 'ü'] },
      arn: f.arn,
      context: { custom: { subject: 'a/b', who: 'größe' } },
    });
    expect(answer.left).toBeGreaterThan(5000);
    expect(answer.left).toBeLessThanOrEqual(7000);
  });

  it('hands its errors on, and goes on', async () => {
    const f = await deployed();
    expect(await ask(f, 'error')).toEqual({
      error: 'Handled',
      payload: '{"errorMessage":"it failed","errorType":"Bad","stackTrace":["a"]}',
    });
    expect((await ask(f, 1)).error).toBe('');
    expect(workers(f)).toBe(1);
  });

  it('may answer anything: no JSON, nothing, in chunks', async () => {
    const f = await deployed();
    expect(await ask(f, 'text')).toEqual({ error: '', payload: 'not { json' });
    expect(await ask(f, 'empty')).toEqual({ error: '', payload: '' });
    expect(await ask(f, 'chunks')).toEqual({ error: '', payload: '"abc"' });
    expect(workers(f)).toBe(1);
  });

  it('is refused what is too large, twice, or no request of the API, and goes on', async () => {
    const f = await deployed({ memoryKb: 262144 });
    expect(await ask(f, 'large')).toMatchObject({
      error: 'Unhandled',
      payload: expect.stringMatching(/Response payload size exceeded/),
    });
    expect(await ask(f, 'twice')).toEqual({ error: '', payload: '1' });
    expect(await ask(f, 'garbage')).toEqual({ error: '', payload: '1' });
    await waitFor(() => said(f).length >= 3);
    expect(said(f)).toEqual(['large: 413', 'twice: 202 403', expect.stringMatching(/^garbage: 40[05] 404$/)]);
    const ends = bench.lines
      .map((line) => JSON.stringify(line))
      .filter((text) => text.includes(f.arn) && /was ended by|exited with code/.test(text));
    expect(ends).toEqual([]);
  });

  it('carries six megabytes', async () => {
    const f = await deployed({ memoryKb: 262144, timeoutMs: 20_000 });
    const { payload } = await ask(f, '', { bytes: 6 * 1024 * 1024 });
    expect(payload).toContain(`"event":${6 * 1024 * 1024}`);
  });

  it.each<[string, RegExp, RegExp]>([
    ['crash', /was ended by SIGSEGV/, /SIGSEGV/],
    ['exit', /exited with code 5/, /"code":5/],
    ['hang', /timed out after 1 seconds/, /Timing out work item/],
  ])(
    'that ends in the middle (%s) fails what it held, and another serves the next',
    async (what, answer, log) => {
      const f = await deployed({ timeoutMs: 1000 });
      expect(await ask(f, what)).toMatchObject({
        error: 'Unhandled',
        payload: expect.stringMatching(answer),
      });
      await waitFor(() =>
        bench.lines.some((line) => log.test(JSON.stringify(line)) && JSON.stringify(line).includes(f.arn)),
      );
      expect((await ask(f, 1)).error).toBe('');
      expect(workers(f)).toBe(2);
    },
  );

  it.each<[string, RegExp]>([
    ['init.error', /no configuration/],
    ['init.exit', /"code":7/],
  ])('that can not start (%s) fails what waits, and the log says why with its ARN', async (handler, log) => {
    const f = await deployed({ handler });
    expect((await ask(f, 1)).error).toBe('Unhandled');
    const lines = bench.lines.filter((line) => JSON.stringify(line).includes(f.arn));
    expect(JSON.stringify(lines)).toMatch(log);
    if (handler === 'init.error') expect(said(f)).toContain('init error: 202');
  });

  it('that hangs before it asks for work fails what waits', async () => {
    const impatient = await startFunctions({ startLimitMs: 300 });
    try {
      const f = impatient.define('hangs', {}, { runtime: 'provided.al2023', handler: 'init.hang' });
      copyFileSync(join(folder, 'bootstrap'), join(f.codeFolder, 'bootstrap'));
      await impatient.deploy(f);
      const asker = { workerId: randomUUID(), functionArn: caller.arn };
      const posted = await impatient.functions.post(asker, f.arn, 'RequestResponse', '', Buffer.from('1'));
      if (posted.kind !== 'accepted') throw new Error(posted.kind);
      const result = await impatient.functions.result(asker, posted.invocationId);
      expect(result?.functionError).toBe('Unhandled');
      expect(impatient.lines).toContainEqual(
        expect.objectContaining({
          functionArn: f.arn,
          msg: 'Worker did not ask for work within 0.3 seconds and is stopped.',
        }),
      );
    } finally {
      await impatient.close();
    }
  });

  it('that is for another machine is warned of at deployment, by its ARN, and fails what is asked of it', async () => {
    const f = bench.define('compiled', {}, { runtime: 'provided', handler: 'plain' });
    await bench.deploy(caller);
    writeFileSync(join(f.codeFolder, 'bootstrap'), foreignProgram(), { mode: 0o755 });
    bench.lines.length = 0;
    await bench.deploy(caller, f);
    expect(bench.lines.filter(({ functionArn }) => functionArn === f.arn).map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/^bootstrap is a program for (x86_64|aarch64), this device is /),
    ]);
    expect((await ask(f, 1)).error).toBe('Unhandled');
  });
});

/** The head of an ELF file for the other of two machines. */
function foreignProgram(): Buffer {
  const program = Buffer.alloc(200);
  program.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1], 0);
  program.writeUInt16LE(2, 16);
  program.writeUInt16LE(process.arch === 'arm64' ? 62 : 183, 18);
  return program;
}
