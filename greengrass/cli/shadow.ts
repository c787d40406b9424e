/** `gg shadow`: shadows of a running core on this machine, and how they differ from the cloud's. */
import { readFileSync } from 'node:fs';
import { check, z } from '../lib/check.js';
import { type CoreControl, CoreControlError, coreControl, DEFAULT_ROOT } from './core-control.js';
import { UsageError } from './usage-error.js';

export interface ShadowOptions {
  /** Named shadow; the thing's own where absent. */
  readonly name?: string;
  readonly root?: string;
  readonly json?: boolean;
}

type Write = (text: string) => void;

const state = z.record(z.string(), z.unknown());
const document = z.object({ state: state.default({}), version: z.number() });
const cloudSide = z.object({ version: z.number().optional(), state: state.optional() });
const listing = z.object({
  shadows: z.array(
    z.object({
      thingName: z.string(),
      shadowName: z.string().optional(),
      isLocal: z.boolean(),
      sync: z
        .object({ direction: z.string(), inStep: z.boolean(), lastError: z.string().optional() })
        .optional(),
    }),
  ),
});

function open({ root = DEFAULT_ROOT }: ShadowOptions): CoreControl {
  return coreControl(root);
}

function pathOf(thing: string, { name }: ShadowOptions, more = ''): string {
  const query = name === undefined ? '' : `?name=${encodeURIComponent(name)}`;
  return `/shadow/${encodeURIComponent(thing)}${more}${query}`;
}

const pretty = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

export async function listShadows(options: ShadowOptions, write: Write): Promise<void> {
  const { shadows } = check(listing, await open(options).call('GET', '/shadow'), 'answer of the core');
  if (options.json) return write(pretty(shadows));
  for (const { thingName, shadowName, isLocal, sync } of shadows) {
    const name = shadowName === undefined ? thingName : `${thingName} ${shadowName}`;
    const stand = sync === undefined ? 'local only' : sync.inStep ? 'in step' : (sync.lastError ?? 'waits');
    const way = sync && sync.direction !== 'both' ? `, ${sync.direction}` : '';
    write(`${name.padEnd(40)} ${isLocal ? stand : `not here, ${stand}`}${way}\n`);
  }
}

/** Prints the document as the SDK's getThingShadow gives it. */
export async function getShadow(thing: string, options: ShadowOptions, write: Write): Promise<void> {
  write(pretty(await open(options).call('GET', pathOf(thing, options))));
}

/** `text`: the body of an update, or `-` for standard input. */
export async function updateShadow(
  thing: string,
  text: string,
  options: ShadowOptions,
  write: Write,
): Promise<void> {
  const given = text === '-' ? readFileSync(0, 'utf8') : text;
  let body: unknown;
  try {
    body = JSON.parse(given);
  } catch (error) {
    throw new UsageError(
      `the document is not valid JSON (${(error as Error).message}): give e.g. '{"state":{"desired":{"on":true}}}'`,
    );
  }
  write(pretty(await open(options).call('POST', pathOf(thing, options), body)));
}

export async function deleteShadow(thing: string, options: ShadowOptions, write: Write): Promise<void> {
  write(pretty(await open(options).call('DELETE', pathOf(thing, options))));
}

/** Answers whether both sides are equal; prints each leaf that is not. */
export async function diffShadow(thing: string, options: ShadowOptions, write: Write): Promise<boolean> {
  const core = open(options);
  const [local, cloud] = await Promise.all([
    core.call('GET', pathOf(thing, options)).then(
      (body) => check(document, body, 'answer of the core'),
      (error: unknown) => {
        if (error instanceof CoreControlError && error.status === 404) return undefined;
        throw error;
      },
    ),
    core
      .call('GET', pathOf(thing, options, '/cloud'))
      .then((body) => check(cloudSide, body, 'answer of the core')),
  ]);
  const [here, there] = [leavesOf(local?.state), leavesOf(cloud.state)];
  const differences = [...new Set([...here.keys(), ...there.keys()])]
    .sort()
    .filter((path) => here.get(path) !== there.get(path))
    .map((path) => ({ path, local: here.get(path), cloud: there.get(path) }));
  const isSame = differences.length === 0 && (local === undefined) === (cloud.state === undefined);
  if (options.json) write(pretty({ local: local ?? null, cloud, differences }));
  else {
    const version = (side: { version?: number | undefined } | undefined) => side?.version ?? 'not there';
    write(`local version ${version(local)}, cloud version ${version(cloud)}${isSame ? ': equal' : ''}\n`);
    for (const { path, local: l = '-', cloud: c = '-' } of differences)
      write(`${path}  local ${l}  cloud ${c}\n`);
  }
  return isSame;
}

/** `desired.lamp.on` → its value as JSON text. The delta follows from the rest and is left out. */
function leavesOf(state: Readonly<Record<string, unknown>> | undefined): Map<string, string> {
  const leaves = new Map<string, string>();
  const walk = (value: unknown, path: string) => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [key, inner] of Object.entries(value)) walk(inner, `${path}.${key}`);
    } else leaves.set(path, JSON.stringify(value));
  };
  for (const part of ['desired', 'reported']) if (state?.[part] !== undefined) walk(state[part], part);
  return leaves;
}
