/** Tar archives byte by byte, so that they can be wrong in ways that no program writes (POSIX.1-2001, pax). */
import { gzipSync } from 'node:zlib';

export interface TarMember {
  readonly name: string;
  readonly data?: string | Buffer;
  /** '0' file, '5' folder, '2' link, '1' hard link, 'x' pax header, 'L' GNU's long name. */
  readonly type?: string;
  readonly mode?: number;
  readonly target?: string;
  /** What the header says instead of the truth. */
  readonly claims?: { size?: number; sum?: number };
  /** Raw bytes of the size field. */
  readonly sizeField?: Buffer;
}

export function tarOf(members: readonly TarMember[], { end = true } = {}): Buffer {
  const parts = members.flatMap((member) => [headerOf(member), padded(Buffer.from(member.data ?? ''))]);
  return Buffer.concat(end ? [...parts, Buffer.alloc(1024)] : parts);
}

export function tarGzOf(members: readonly TarMember[]): Buffer {
  return gzipSync(tarOf(members));
}

/** The records of a pax header. */
export function paxOf(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => {
      const rest = ` ${key}=${value}\n`;
      const bytes = Buffer.byteLength(rest);
      const length = bytes + String(bytes + String(bytes).length).length;
      return `${length}${rest}`;
    })
    .join('');
}

function headerOf({
  name,
  data = '',
  type = '0',
  mode = 0o644,
  target = '',
  claims = {},
  sizeField,
}: TarMember) {
  const header = Buffer.alloc(512);
  header.write(name.slice(0, 100), 0);
  header.write(`${mode.toString(8).padStart(7, '0')}\0`, 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  const size = claims.size ?? Buffer.byteLength(data);
  if (sizeField) sizeField.copy(header, 124);
  else header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write(type, 156);
  header.write(target, 157);
  header.write('ustar\x0000', 257);
  const sum = claims.sum ?? header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}
