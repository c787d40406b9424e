/** Log files that stay inside their space, whatever is written and whoever takes them away. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { RotatingFile } from '../../greengrass/core/logs/rotating-file.js';
import { waitFor } from '../support/wait-for.js';

let root: string;
let path: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-log-'));
  path = join(root, 'system', 'runtime.log');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const text = (name = path) => (existsSync(name) ? readFileSync(name, 'utf8') : '');

function sizeOfAll(): number {
  return readdirSync(join(root, 'system')).reduce(
    (sum, name) => sum + statSync(join(root, 'system', name)).size,
    0,
  );
}

describe('a log file', () => {
  it('is made with its folder, for its owner alone, and appended to', () => {
    const file = new RotatingFile(path, 1000);
    file.write('one\n');
    file.close();
    const again = new RotatingFile(path, 1000);
    again.write('two\n');
    again.close();
    again.close();
    expect(text()).toBe('one\ntwo\n');
    expect([lstatSync(path).mode & 0o777, lstatSync(join(root, 'system')).mode & 0o777]).toEqual([
      0o600, 0o700,
    ]);
  });

  it('becomes the .1 when the next line would not fit into half of the space', () => {
    const file = new RotatingFile(path, 20);
    for (const line of ['aaaa\n', 'bbbb\n', 'cccc\n']) file.write(line);
    expect([text(), text(`${path}.1`)]).toEqual(['cccc\n', 'aaaa\nbbbb\n']);
    for (const line of ['dddd\n', 'eeee\n']) file.write(line);
    expect([text(), text(`${path}.1`)]).toEqual(['eeee\n', 'cccc\ndddd\n']);
    file.close();
  });

  it('never takes more than its space, also across restarts and with lines that are too long', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 16, max: 400 }),
        fc.array(fc.tuple(fc.string({ unit: 'grapheme', maxLength: 150 }), fc.boolean()), { maxLength: 40 }),
        (space, lines) => {
          let file = new RotatingFile(path, space);
          for (const [line, restart] of lines) {
            file.write(`${line.replaceAll('\n', ' ')}\n`);
            expect(sizeOfAll()).toBeLessThanOrEqual(space);
            expect(text().endsWith('\n')).toBe(true);
            if (!restart) continue;
            file.close();
            file = new RotatingFile(path, space);
          }
          expect([file.lost, text().includes('\ufffd') && !lines.join().includes('\ufffd')]).toEqual([
            0,
            false,
          ]);
          file.close();
          rmSync(join(root, 'system'), { recursive: true, force: true });
        },
      ),
      { numRuns: 200 },
    );
  });

  it('follows new settings of its space', () => {
    const file = new RotatingFile(path, 20);
    file.write('aaaa\n');
    file.write('bbbb\n');
    file.setSpace(1000);
    file.write('cccc\n');
    expect(text()).toBe('aaaa\nbbbb\ncccc\n');
    file.setSpace(20);
    file.write('dddd\n');
    expect(text()).toBe('dddd\n');
    file.close();
  });

  it('comes back when somebody deleted it with its folder', async () => {
    const file = new RotatingFile(path, 100_000);
    file.write('before\n');
    rmSync(join(root, 'system'), { recursive: true });
    await waitFor(() => {
      file.write('after\n');
      return existsSync(path);
    });
    expect(text()).toBe('after\n');
    expect(file.lost).toBe(0);
    file.close();
  });

  it('is left alone when somebody moved it away and made a new one', async () => {
    const file = new RotatingFile(path, 100_000);
    file.write('before\n');
    renameSync(path, `${path}.old`);
    writeFileSync(path, '');
    await waitFor(() => {
      file.write('after\n');
      return text().includes('after');
    });
    file.close();
  });

  it('that can not be written stops nobody; what is lost is counted, and it goes on when it can', () => {
    mkdirSync(path, { recursive: true });
    const file = new RotatingFile(path, 1000);
    file.write('one\n');
    file.write('two\n');
    expect(file.lost).toBe(2);
    rmSync(path, { recursive: true });
    file.write('three\n');
    expect(text()).toBe('three\n');
    file.close();
  });
});
