/**
 * Which machine a program was built for, from the head of its ELF file. The kernel refuses the others, but a shell in front
 * then takes the file for a script, and what it says helps nobody.
 */
import { closeSync, openSync, readSync } from 'node:fs';

/** e_machine of ELF, by the names that uname gives. */
const MACHINES: Readonly<Record<number, string>> = {
  3: 'x86',
  8: 'mips',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'x86_64',
  183: 'aarch64',
  243: 'riscv64',
  258: 'loongarch64',
};

/** What runs here by itself, by Node's name of this machine; others may with an emulator (binfmt_misc). */
const NATIVE: Readonly<Record<string, readonly string[]>> = {
  x64: ['x86_64', 'x86'],
  arm64: ['aarch64', 'arm'],
  arm: ['arm'],
};

/** The machine of a program that is for another one than this; undefined for scripts, own programs and what can't be read. */
export function foreignMachine(path: string, architecture: string = process.arch): string | undefined {
  const head = Buffer.alloc(20);
  try {
    const fd = openSync(path, 'r');
    try {
      if (readSync(fd, head) < head.length) return undefined;
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
  if (head.toString('latin1', 0, 4) !== '\u007fELF') return undefined;
  // Byte 5 says which end comes first.
  const number = head[5] === 2 ? head.readUInt16BE(18) : head.readUInt16LE(18);
  const machine = MACHINES[number] ?? `machine ${number}`;
  return (NATIVE[architecture] ?? [machine]).includes(machine) ? undefined : machine;
}
