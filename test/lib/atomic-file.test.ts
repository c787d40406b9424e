/** What a kill in the middle of a write leaves is found again, and nothing else with it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeHalfWritten, writeFileAtomic } from '../../greengrass/lib/atomic-file.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'greengrass-atomic-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('replaces a file whole, and leaves nothing beside it', () => {
  const file = join(folder, 'a');
  writeFileAtomic(file, 'old');
  writeFileAtomic(file, 'new');
  expect(readFileSync(file, 'utf8')).toBe('new');
  expect(readdirSync(folder)).toEqual(['a']);
});

it('leaves nothing where the file can not be replaced', () => {
  expect(() => writeFileAtomic(folder, 'x')).toThrow();
  expect(readdirSync(join(folder, '..')).filter((name) => name.includes(`${folder.slice(-6)}.`))).toEqual([]);
});

it('removes halves of this file only', () => {
  const others = ['a', 'b', '.b.0123456789ab.tmp', '.a.tmp', '.a.0123456789ab', '.a.b.0123456789ab.tmp'];
  for (const name of [...others, '.a.0123456789ab.tmp', '.a.ffffffffffff.tmp']) {
    writeFileSync(join(folder, name), '');
  }
  removeHalfWritten(join(folder, 'a'));
  expect(readdirSync(folder).sort()).toEqual([...others].sort());
});
