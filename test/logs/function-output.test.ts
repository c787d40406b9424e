/** What real functions print and log, as it stands in V1's files: path, lines, levels, space. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { LogFiles } from '../../greengrass/core/logs/log-files.js';
import { describeAsRoot } from '../support/as-root.js';
import { type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

const PYTHON = `
import logging, os, sys
logger = logging.getLogger('mine')
def handler(event, context):
    if 'flood' in event:
        for n in range(event['flood']): print('line %06d %s' % (n, 'x' * 100))
        print('the last line')
        return
    print('printed')
    print('two\\nlines')
    sys.stderr.write('to stderr\\n')
    logger.debug('of debug'); logger.info('of info'); logger.warning('of warning'); logger.error('of error'); logger.critical('of critical')
    os.write(1, b'\\x1b[2J bell \\x07 ' + 'ü'.encode() + b' \\xff\\n')
    os.write(1, b'[2020-01-01T00:00:00.000Z][FATAL]-forged\\n')
    print('end')
`;
const NODE = `
exports.handler = (event, context, done) => {
  console.log('printed'); console.error('to stderr'); console.warn('of warn'); console.info({ a: 1 });
  process.stdout.write('end\\n');
  done();
};
`;
const LINE = /^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]\[(DEBUG|INFO|WARN|ERROR|FATAL)\]-/;

describeAsRoot('the log of a function', () => {
  let root: string;
  let logs: LogFiles;
  let bench: FunctionBench;
  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'greengrass-output-'));
    logs = new LogFiles({ writeDirectory: root, region: 'us-east-1', accountId: '1' });
    bench = await startFunctions({ logs });
  });
  afterEach(async () => {
    await bench.close();
    logs.close();
    rmSync(root, { recursive: true, force: true });
  });

  const folder = () => join(root, 'var', 'log', 'user', 'us-east-1', '123456789012');
  const text = (name: string) => {
    const file = join(folder(), `${name}.log`);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };
  /** Without the time. */
  const lines = (name: string) =>
    text(name)
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        expect(line).toMatch(LINE);
        return line.replace(/^\[[^\]]*\]/, '');
      });
  async function said(
    f: DeployedFunction,
    name: string,
    event: object = {},
    last = 'end',
  ): Promise<string[]> {
    await bench.deploy(f);
    bench.deliver(f, 't', JSON.stringify(event));
    await waitFor(() => text(name).includes(last), { timeoutMs: 20_000, what: `${last} in ${text(name)}` });
    await waitFor(() => bench.functions.workers().every(({ WorkerState }) => WorkerState === 'Waiting'));
    // Both its pipes and its files are written by us: what it said before it asked for work has come.
    await bench.deploy();
    return lines(name);
  }

  it.each(['GreengrassContainer', 'NoContainer'] as const)(
    'of Python in %s has each line with its level',
    async (isolation) => {
      logs.configure([{ Type: 'FileSystem', Component: 'Lambda', Level: 'DEBUG', Space: 128 }]);
      const out = await said(bench.define('talks', { 'main.py': PYTHON }, { isolation }), 'talks');
      const has = (level: string, what: string) =>
        out.some((line) => line.startsWith(`[${level}]-`) && line.includes(what));
      expect(out.filter((line) => /printed|two|lines|end$/.test(line))).toEqual([
        '[INFO]-main.py:9,printed',
        '[INFO]-main.py:10,two',
        '[INFO]-main.py:10,lines',
        '[INFO]-main.py:15,end',
      ]);
      expect([has('ERROR', 'to stderr'), has('DEBUG', 'of debug'), has('INFO', 'of info')]).toEqual([
        true,
        true,
        true,
      ]);
      expect([has('WARN', 'of warning'), has('ERROR', 'of error'), has('FATAL', 'of critical')]).toEqual([
        true,
        true,
        true,
      ]);
      // Nothing in a line reaches the terminal of who reads it, and a forged head is text.
      expect(out).toContain('[INFO]-\\u001b[2J bell \\u0007 ü \ufffd');
      expect(out).toContain('[INFO]-[2020-01-01T00:00:00.000Z][FATAL]-forged');
    },
  );

  it("of Node has the console's lines", async () => {
    const out = await said(bench.define('node', { 'main.js': NODE }, { runtime: 'nodejs20.x' }), 'node');
    expect(out.filter((line) => /printed|end|a: 1/.test(line))).toEqual([
      '[INFO]-printed',
      '[INFO]-{ a: 1 }',
      '[INFO]-end',
    ]);
    expect(out.some((line) => /^\[ERROR\]-to stderr/.test(line))).toBe(true);
    expect(out.some((line) => /^\[(WARN|ERROR)\]-of warn/.test(line))).toBe(true);
  });

  it("has what the group's logger lets through, and system logs theirs", async () => {
    logs.configure([
      { Type: 'FileSystem', Component: 'Lambda', Level: 'ERROR', Space: 128 },
      { Type: 'FileSystem', Component: 'GreengrassSystem', Level: 'WARN', Space: 128 },
    ]);
    const out = await said(bench.define('quiet', { 'main.py': PYTHON }), 'quiet', {}, 'of critical');
    expect([...new Set(out.map((line) => /^\[(\w+)\]/.exec(line)?.[1]))].sort()).toEqual(['ERROR', 'FATAL']);
    logs.systemLogger('runtime').info('no');
    logs.systemLogger('runtime').warn('yes');
    expect(readFileSync(join(root, 'var/log/system/runtime.log'), 'utf8')).toMatch(
      /^\[[^\]]*\]\[WARN\]-yes\n$/,
    );
  });

  it("stays inside the logger's space and keeps the newest, whatever is written", async () => {
    logs.configure([{ Type: 'FileSystem', Component: 'Lambda', Level: 'INFO', Space: 64 }]);
    const out = await said(
      bench.define('flood', { 'main.py': PYTHON }, { timeoutMs: 20_000 }),
      'flood',
      { flood: 20_000 },
      'the last line',
    );
    expect(out.at(-1)).toBe('[INFO]-main.py:7,the last line');
    expect(out.at(-2)).toMatch(/^\[INFO\]-main.py:6,line 019999 /);
    const sizes = readdirSync(folder()).map((name) => statSync(join(folder(), name)).size);
    expect(sizes).toHaveLength(2);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(64 * 1024);
  });
});
