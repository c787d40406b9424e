/** Shadows at the control socket, for `gg shadow`: local operations as any client's, and a look at the cloud's side. */
import { CheckError } from '../../lib/check.js';
import { shadowKey } from '../../model/topic.js';
import {
  type ControlAnswer,
  type ControlCall,
  ControlRefusal,
  type ControlRoute,
} from '../control/control-route.js';
import type { ShadowService } from './shadow-service.js';
import type { ShadowSync } from './sync/shadow-sync.js';

const THING_NAME = /^[a-zA-Z0-9:_-]{1,128}$/;
const SHADOW_NAME = /^[a-zA-Z0-9:_-]{1,64}$/;

export function shadowRoutes(service: ShadowService, sync: ShadowSync): ControlRoute[] {
  const path = '/shadow/{thing}';
  return [
    { method: 'GET', path: '/shadow', handle: () => ({ body: { shadows: list(service, sync) } }) },
    { method: 'GET', path, handle: async (call) => answer(await service.request(keyOf(call), 'get')) },
    {
      method: 'POST',
      path,
      handle: async (call) => answer(await service.request(keyOf(call), 'update', Buffer.from(call.body))),
    },
    { method: 'DELETE', path, handle: async (call) => answer(await service.request(keyOf(call), 'delete')) },
    { method: 'GET', path: `${path}/cloud`, handle: (call) => cloudSide(sync, keyOf(call)) },
  ];
}

/** Local shadows and synced ones that only the cloud has, with how the sync of each stands. */
function list(service: ShadowService, sync: ShadowSync): object[] {
  const status = sync.status();
  const local = new Set(service.keys());
  return [...new Set([...local, ...status.keys()])].sort().map((key) => {
    const [thingName, shadowName] = key.split('/');
    return { thingName, shadowName, isLocal: local.has(key), sync: status.get(key) };
  });
}

function keyOf({ params, query }: ControlCall): string {
  const thing = params.thing ?? '';
  const name = query.get('name') ?? undefined;
  const problems = [];
  if (!THING_NAME.test(thing)) problems.push({ path: 'thing', rule: 'is no name of a thing' });
  if (name !== undefined && !SHADOW_NAME.test(name))
    problems.push({ path: 'name', rule: 'is no name of a shadow' });
  if (problems.length > 0) throw new CheckError('the path', problems);
  return shadowKey(thing, name);
}

/** The body as V1's clients get it; a refusal keeps its code where HTTP and the socket have it. */
function answer(body: Buffer): ControlAnswer {
  const parsed = JSON.parse(body.toString('utf8')) as { code?: number; message?: string };
  const { code, message = 'refused' } = parsed;
  if (code === undefined) return { body: parsed };
  if (code === 404 || code === 409 || code === 413 || code === 429) throw new ControlRefusal(code, message);
  throw new ControlRefusal(code >= 500 ? 503 : 400, message);
}

async function cloudSide(sync: ShadowSync, key: string): Promise<ControlAnswer> {
  try {
    const { version, state } = await sync.look(key);
    return { body: { version, state, sync: sync.status().get(key) } };
  } catch (error) {
    throw new ControlRefusal(503, `the cloud's shadow can't be seen: ${(error as Error).message}`);
  }
}
