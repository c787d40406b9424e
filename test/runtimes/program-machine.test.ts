/** Which machine a program is for, read from its head. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { foreignMachine } from '../../greengrass/core/lambda/program-machine.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'greengrass-machine-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function file(content: Buffer | string): string {
  const path = join(folder, 'program');
  writeFileSync(path, content);
  return path;
}

function elf(machine: number, isBigEndian = false): Buffer {
  const head = Buffer.alloc(64);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, isBigEndian ? 2 : 1, 1], 0);
  if (isBigEndian) head.writeUInt16BE(machine, 18);
  else head.writeUInt16LE(machine, 18);
  return head;
}

it.each<[string, Buffer | string, string, string | undefined]>([
  ['x86_64 on x64', elf(62), 'x64', undefined],
  ['x86 on x64', elf(3), 'x64', undefined],
  ['aarch64 on x64', elf(183), 'x64', 'aarch64'],
  ['x86_64 on arm64', elf(62), 'arm64', 'x86_64'],
  ['arm on arm64', elf(40), 'arm64', undefined],
  ['aarch64 on arm', elf(183), 'arm', 'aarch64'],
  ['s390x, whose bytes are the other way round', elf(22, true), 'x64', 's390x'],
  ['a machine that nobody knows', elf(0xfeed), 'x64', 'machine 65261'],
  ['anything on a machine that we do not know', elf(62), 'riscv64', undefined],
  ['a script', '#!/bin/sh\nexit 0 # and so on', 'x64', undefined],
  ['a head that ends early', elf(183).subarray(0, 19), 'x64', undefined],
  ['nothing', '', 'x64', undefined],
])('%s', (_what, content, architecture, expected) => {
  expect(foreignMachine(file(content), architecture)).toBe(expected);
});

it('a file that is not there, and a folder', () => {
  expect(foreignMachine(join(folder, 'nothing'))).toBe(undefined);
  expect(foreignMachine(folder)).toBe(undefined);
});

it('the interpreter that runs this test is not foreign', () => {
  expect(foreignMachine(process.execPath)).toBe(undefined);
});

it('any bytes are read without an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      foreignMachine(file(Buffer.from(bytes)));
    }),
    { numRuns: 200 },
  );
});
