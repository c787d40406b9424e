/** Answers of the workers' door, as bytes. */
import { STATUS_CODES } from 'node:http';

/** No line of ours may become two. */
const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;

/** Head and body in one piece: one write, one packet. `isLast`: the connection ends with it. */
export function encodeAnswer(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Buffer | string,
  isLast: boolean,
): Buffer {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  for (const name in headers) {
    const value = headers[name] as string;
    if (FORBIDDEN.test(value)) throw new Error(`the header ${name} has a forbidden character`);
    head += `${name}: ${value}\r\n`;
  }
  head += `Content-Length: ${length}\r\n${isLast ? 'Connection: close\r\n' : ''}\r\n`;
  const bytes = Buffer.allocUnsafe(head.length + length);
  bytes.write(head, 0, 'latin1');
  if (typeof body === 'string') bytes.write(body, head.length);
  else body.copy(bytes, head.length);
  return bytes;
}
