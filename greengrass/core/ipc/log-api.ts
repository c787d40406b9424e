/**
 * `POST /2016-11-01/cloudwatch/logs/`: how old runtimes, and the Core SDK 1.0.x that old bundles carry, send their log
 * lines. The lines go to the log of the caller's own function, whatever group the request names.
 */
import { check, z } from '../../lib/check.js';
import type { WorkerLogLevel } from '../isolation/worker-process.js';
import type { FunctionLogs } from '../logs/function-logs.js';
import { type HttpCall, IpcRefusal } from './http-call.js';
import type { Caller } from './work-desk.js';

const events = z.object({
  logEvents: z
    .array(z.object({ message: z.string().max(64 * 1024), timestamp: z.number().optional() }))
    .max(10_000),
});

export async function handleLogs(logs: FunctionLogs, caller: Caller, request: HttpCall): Promise<void> {
  if (request.method !== 'POST') throw new IpcRefusal(405, 'POST');
  const { logEvents } = check(events, parse((await request.payload()).toString('utf8')), 'log request');
  for (const { message } of logEvents) {
    const match = /^\[(DEBUG|INFO|WARN|ERROR|FATAL)\]-?/.exec(message);
    const level = (match?.[1] ?? 'INFO') as WorkerLogLevel;
    logs.write(caller.functionArn, level, message.slice(match?.[0].length ?? 0).trimEnd());
  }
  await request.answer(200, { 'Content-Type': 'application/json' }, '{}');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new IpcRefusal(400, 'the body must be JSON');
  }
}
