/** V1's log files: where they are, how their lines look, what the group's loggers let through. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { LogFiles } from '../../greengrass/core/logs/log-files.js';
import { escapeControls, formatLine } from '../../greengrass/core/logs/log-format.js';

const LINE = /^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]\[(DEBUG|INFO|WARN|ERROR|FATAL)\]-/;

let root: string;
let logs: LogFiles;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-logs-'));
  logs = new LogFiles({ writeDirectory: root, region: 'eu-central-1', accountId: '999' });
});
afterEach(() => {
  logs.close();
  rmSync(root, { recursive: true, force: true });
});

function arnOf(name: string, version = 1): string {
  return `arn:aws:lambda:us-east-1:123456789012:function:${name}:${version}`;
}

function read(...path: string[]): string[] {
  const file = join(root, 'var', 'log', ...path);
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
}

const system = (component = 'runtime') => read('system', `${component}.log`);
const user = (name: string) => read('user', 'us-east-1', '123456789012', `${name}.log`);
const bare = (lines: string[]) => lines.map((line) => line.replace(/^\[[^\]]*\]/, ''));

describe('the log of a component', () => {
  it("has V1's lines: time, level, text, facts", () => {
    const logger = logs.systemLogger('GGShadowService');
    logger.info('Started.');
    logger.warn({ thing: 'lamp', size: 3 }, 'Refused.');
    logger.error({ reason: 'a\nb' }, 'Failed.');
    logger.fatal('Over.');
    const lines = system('GGShadowService');
    expect(lines.every((line) => LINE.test(line))).toBe(true);
    expect(bare(lines)).toEqual([
      '[INFO]-Started.',
      '[WARN]-Refused. {"thing":"lamp","size":3}',
      '[ERROR]-Failed. {"reason":"a\\nb"}',
      '[FATAL]-Over.',
    ]);
  });

  it('is one file for one component, however often its logger is asked for', () => {
    expect(logs.systemLogger('runtime')).toBe(logs.systemLogger('runtime'));
    logs.systemLogger('runtime').info('a');
    logs.systemLogger('other').info('b');
    expect(readdirSync(join(root, 'var', 'log', 'system')).sort()).toEqual(['other.log', 'runtime.log']);
  });

  it('leaves out what is secret', () => {
    logs.systemLogger('runtime').info({ token: 'hush', request: { payload: 'hush' }, topic: 'a' }, 'Came.');
    expect(bare(system())).toEqual(['[INFO]-Came. {"request":{},"topic":"a"}']);
  });
});

describe('the log of a function', () => {
  it('lies below its region and account, one file for all of its versions', () => {
    logs.write(arnOf('hello', 1), 'INFO', 'one');
    logs.write(arnOf('hello', 2), 'ERROR', 'two');
    expect(bare(user('hello'))).toEqual(['[INFO]-one', '[ERROR]-two']);
  });

  it('of the system lies below the region and account of the core', () => {
    logs.write('arn:aws:lambda:::function:GGStreamManager:1', 'INFO', 'x');
    expect(bare(read('user', 'eu-central-1', '999', 'GGStreamManager.log'))).toEqual(['[INFO]-x']);
  });

  it.each([
    '../../../../escaped',
    'arn:aws:lambda:us-east-1:1:function:../../x:1',
    'arn:aws:lambda:../..:1:function:f:1',
    '',
  ])('never lies elsewhere, though its ARN is %j', (arn) => {
    logs.write(arn, 'INFO', 'x');
    expect(bare(read('user', 'eu-central-1', '999', 'unknown.log'))).toEqual(['[INFO]-x']);
    expect(readdirSync(root)).toEqual(['var']);
  });

  it('is deleted by a reset, and begins anew', () => {
    logs.write(arnOf('hello'), 'INFO', 'old');
    logs.systemLogger('runtime').info('stays');
    logs.deleteUserLogs();
    expect(existsSync(join(root, 'var', 'log', 'user'))).toBe(false);
    logs.write(arnOf('hello'), 'INFO', 'new');
    expect([bare(user('hello')), bare(system())]).toEqual([['[INFO]-new'], ['[INFO]-stays']]);
  });
});

describe("the group's loggers", () => {
  it('let INFO and above through where there are none', () => {
    for (const level of ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const) {
      logs.write(arnOf('f'), level, 'x');
    }
    const logger = logs.systemLogger('runtime');
    logger.debug('x');
    logger.info('x');
    expect(bare(user('f'))).toEqual(['INFO', 'WARN', 'ERROR', 'FATAL'].map((level) => `[${level}]-x`));
    expect(bare(system())).toEqual(['[INFO]-x']);
  });

  it('take effect at once, for functions and components by themselves, also on open files', () => {
    const logger = logs.systemLogger('runtime');
    logger.info('a');
    logs.configure([
      { Type: 'FileSystem', Component: 'GreengrassSystem', Level: 'ERROR', Space: 64 },
      { Type: 'FileSystem', Component: 'Lambda', Level: 'DEBUG', Space: 64 },
      { Type: 'AWSCloudWatch', Component: 'Lambda', Level: 'FATAL' },
    ]);
    logger.warn('b');
    logger.error('c');
    logs.systemLogger('later').warn('d');
    logs.write(arnOf('f'), 'DEBUG', 'e');
    expect([bare(system()), system('later'), bare(user('f'))]).toEqual([
      ['[INFO]-a', '[ERROR]-c'],
      [],
      ['[DEBUG]-e'],
    ]);
    logs.configure([]);
    logger.info('f');
    logs.write(arnOf('f'), 'DEBUG', 'g');
    expect([bare(system()).at(-1), bare(user('f'))]).toEqual(['[INFO]-f', ['[DEBUG]-e']]);
  });

  it('bound the space of each file', () => {
    logs.configure([{ Type: 'FileSystem', Component: 'Lambda', Level: 'INFO', Space: 8 }]);
    for (let n = 0; n < 500; n++) logs.write(arnOf('f'), 'INFO', 'x'.repeat(n));
    logs.write(arnOf('f'), 'INFO', 'y'.repeat(1_000_000));
    const folder = join(root, 'var', 'log', 'user', 'us-east-1', '123456789012');
    const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
    expect(sizes.length).toBe(2);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(8 * 1024);
  });
});

describe('a line', () => {
  it('stays one line without anything that a terminal would act on', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (message) => {
        const line = formatLine('t', 'INFO', message);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
        expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/);
        expect(line.endsWith('\n')).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['a\nb\r\n', 'a\\nb\\r\\n'],
    ['\u001b[2J\u0007', '\\u001b[2J\\u0007'],
    ['\u009b31m', '\\u009b31m'],
    ['tab\tand ünïcödé 🙂', 'tab\tand ünïcödé 🙂'],
  ])('shows %j as %j', (raw, shown) => {
    expect(escapeControls(raw)).toBe(shown);
  });
});
