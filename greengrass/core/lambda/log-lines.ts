/** A worker's log pipes → entries of its function's log, one for each line. */
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { WorkerLogLevel, WorkerProcess } from '../isolation/worker-process.js';
import type { FunctionLogs } from '../logs/function-logs.js';

/** A longer line is cut into entries of this size. */
const MAX_LINE_BYTES = 64 * 1024;
/** So much at once is no longer a line or two. */
const FLOOD_BYTES = 16 * 1024;

export function pipeLogs(functionArn: string, process: WorkerProcess, logs: FunctionLogs): void {
  for (const [level, stream] of Object.entries(process.logs))
    pipeLines(stream, (line) => logs.write(functionArn, level as WorkerLogLevel, line));
}

function pipeLines(stream: Readable, write: (line: string) => void): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  stream.on('data', (chunk: Buffer) => {
    const text = rest + decoder.write(chunk);
    const lines = text.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') writeCut(line, write);
    while (rest.length > MAX_LINE_BYTES) {
      write(rest.slice(0, MAX_LINE_BYTES));
      rest = rest.slice(MAX_LINE_BYTES);
    }
    // A worker that floods its log waits for its turn like everybody else.
    if (chunk.length < FLOOD_BYTES) return;
    stream.pause();
    setImmediate(() => stream.resume());
  });
  stream.on('end', () => {
    const last = rest + decoder.end();
    if (last !== '') writeCut(last, write);
  });
  // It may have been paused while it had no listener.
  stream.resume();
  stream.on('error', () => {
    // The pipe broke with its worker; what was read is written.
  });
}

function writeCut(line: string, write: (line: string) => void): void {
  for (let at = 0; at < line.length; at += MAX_LINE_BYTES) write(line.slice(at, at + MAX_LINE_BYTES));
}
