/**
 * A strict reader of tar archives (POSIX ustar and pax, GNU's long names), as a stream: what it does not know, or what
 * contradicts itself, is an error and not a guess. It writes nothing.
 */

const BLOCK = 512;
/** Extended headers are names and times; no honest one is larger. */
const MAX_EXTENDED_BYTES = 64 * 1024;

export interface TarEntry {
  readonly type: 'file' | 'folder' | 'link';
  /** As it stands in the archive, without a slash at its end. */
  readonly path: string;
  /** Of a symbolic link: where it points. */
  readonly target: string;
  readonly isExecutable: boolean;
  /** The file's bytes; to be read to the end, before the next entry. */
  readonly content: AsyncIterable<Uint8Array>;
}

/** Entries one after the other. Throws where the archive is cut off, damaged, or holds what is no file, folder or link. */
export async function* tarEntries(archive: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const reader = new ByteReader(archive);
  /** What extended headers say of the next entry. */
  let extended: Extended = {};
  for (;;) {
    const header = await reader.take(BLOCK);
    if (header.every((byte) => byte === 0)) {
      // The end is two empty blocks; what tar fills its last record with is of no interest.
      await reader.drain();
      return;
    }
    checkSum(header);
    const flag = String.fromCharCode(header[156] as number);
    const size = extended.size ?? number(header, 124, 12);
    if ('xgLK'.includes(flag)) {
      const text = await reader.text(number(header, 124, 12));
      extended = { ...extended, ...extendedBy(flag, text) };
      continue;
    }
    const type = TYPES[flag];
    const path = (extended.path ?? nameOf(header)).replace(/\/+$/, '');
    if (type === undefined) throw new Error(`entry "${shown(path)}" is a hard link or a special file`);
    const content = type === 'file' ? reader.read(size) : reader.read(0);
    yield {
      type,
      path,
      target: extended.target ?? string(header, 157, 100),
      isExecutable: (number(header, 100, 8) & 0o111) !== 0,
      content,
    };
    extended = {};
    for await (const _rest of content) {
      // A reader that was not interested.
    }
    if (type === 'file') await reader.take((BLOCK - (size % BLOCK)) % BLOCK);
  }
}

interface Extended {
  readonly path?: string;
  readonly target?: string;
  readonly size?: number;
}

const TYPES: Readonly<Record<string, TarEntry['type']>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '5': 'folder',
  '2': 'link',
};

function extendedBy(flag: string, text: Buffer): Extended {
  if (flag === 'L') return { path: zeroEnded(text) };
  if (flag === 'K') return { target: zeroEnded(text) };
  // A global header holds for all entries; names and sizes have no sense there, and the rest is not needed.
  if (flag === 'g') return {};
  return pax(text);
}

/** Records of the form `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record. */
function pax(bytes: Buffer): Extended {
  let found: { path?: string; target?: string; size?: number } = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.subarray(at, space).toString('latin1'));
    const end = at + length;
    if (
      space < 0 ||
      !Number.isInteger(length) ||
      end <= space ||
      end > bytes.length ||
      bytes[end - 1] !== 0x0a
    ) {
      throw new Error('an extended header is damaged');
    }
    const record = bytes.subarray(space + 1, end - 1).toString('utf8');
    const equals = record.indexOf('=');
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (key === 'path') found = { ...found, path: value };
    if (key === 'linkpath') found = { ...found, target: value };
    if (key === 'size') found = { ...found, size: sizeOf(value) };
    if (key.startsWith('GNU.sparse.')) throw new Error('it holds a sparse file');
    at = end;
  }
  return found;
}

function sizeOf(text: string): number {
  const size = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(size)) throw new Error(`"${shown(text)}" is no size`);
  return size;
}

function nameOf(header: Buffer): string {
  const isPosix = string(header, 257, 6) === 'ustar' && header[262] === 0;
  const prefix = isPosix ? string(header, 345, 155) : '';
  const name = string(header, 0, 100);
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** The sum of all bytes of the header, with its own eight as spaces. */
function checkSum(header: Buffer): void {
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) sum += at >= 148 && at < 156 ? 0x20 : (header[at] as number);
  if (sum !== number(header, 148, 8)) throw new Error('a header has the wrong check sum');
}

/** Octal digits, or GNU's binary form for what they can't hold. */
function number(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length);
  if (((field[0] as number) & 0x80) !== 0) {
    const value = [(field[0] as number) & 0x7f, ...field.subarray(1)].reduce(
      (sum, byte) => sum * 256 + byte,
      0,
    );
    if (!Number.isSafeInteger(value)) throw new Error('a number in a header is too large');
    return value;
  }
  const text = field
    .toString('latin1')
    .replace(/[\0 ]+$/, '')
    .replace(/^ +/, '');
  if (!/^[0-7]*$/.test(text)) throw new Error('a number in a header is not octal');
  return text === '' ? 0 : Number.parseInt(text, 8);
}

function string(header: Buffer, start: number, length: number): string {
  return zeroEnded(header.subarray(start, start + length));
}

function zeroEnded(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.subarray(0, end < 0 ? bytes.length : end).toString('utf8');
}

function shown(text: string): string {
  return text.slice(0, 200);
}

/** Bytes by count from a stream of pieces. */
class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #piece: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Exactly `count` bytes; throws where the stream ends before. For small counts. */
  async take(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of this.read(count)) parts.push(part);
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  async text(count: number): Promise<Buffer> {
    if (count > MAX_EXTENDED_BYTES) throw new Error('an extended header is too large');
    const text = await this.take(count);
    await this.take((BLOCK - (count % BLOCK)) % BLOCK);
    return text;
  }

  /** The same in pieces, as they come. What was read is not read again. */
  read(count: number): AsyncIterable<Buffer> & AsyncIterator<Buffer> {
    let left = count;
    const next = async (): Promise<IteratorResult<Buffer>> => {
      if (left === 0) return { done: true, value: undefined };
      while (this.#piece.length === 0) {
        const { done, value } = await this.#source.next();
        if (done) throw new Error('it is cut off');
        this.#piece = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      }
      const part = this.#piece.subarray(0, left);
      this.#piece = this.#piece.subarray(part.length);
      left -= part.length;
      return { done: false, value: part };
    };
    const iterator = { next, [Symbol.asyncIterator]: () => iterator };
    return iterator;
  }

  async drain(): Promise<void> {
    for (let step = await this.#source.next(); !step.done; step = await this.#source.next());
  }
}
