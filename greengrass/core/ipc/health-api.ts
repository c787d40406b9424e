/** `/2016-11-01/health/workers`: states of workers, all of them (GET) or of the functions asked for (POST). */
import { z } from '../../lib/check.js';
import { type HttpCall, IpcRefusal } from './http-call.js';
import type { WorkDesk } from './work-desk.js';

const MAX_ARNS = 500;
const body = z.object({ FuncArns: z.array(z.string()) });

export async function handleHealth(desk: WorkDesk, request: HttpCall): Promise<void> {
  if (request.method === 'GET') return reply(request, desk.workers());
  if (request.method !== 'POST') throw new IpcRefusal(405, 'GET or POST');
  const wanted = parse((await request.payload()).toString('utf8'));
  if (wanted.length > MAX_ARNS) throw new IpcRefusal(400, 'Request exceeds max number of workers');
  const workers = desk.workers().filter(({ FuncArn }) => wanted.includes(FuncArn));
  const known = new Set(workers.map(({ FuncArn }) => FuncArn));
  return reply(request, { Workers: workers, InvalidArns: wanted.filter((arn) => !known.has(arn)) });
}

function parse(text: string): string[] {
  try {
    return body.parse(JSON.parse(text)).FuncArns;
  } catch {
    throw new IpcRefusal(400, 'Invalid request');
  }
}

async function reply(request: HttpCall, value: unknown): Promise<void> {
  await request.answer(200, { 'Content-Type': 'application/json' }, JSON.stringify(value));
}
