/**
 * Whatever happens on either side and on the link between them: at rest both sides are equal, and equal to what a model of
 * the conflict rule allows. `SHADOW_SEEDS` says how many runs, `SHADOW_SEED` the first seed; a failure names its own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Json, JsonObject, ShadowState } from '../../greengrass/model/shadow-document.js';
import { IN_MEMORY, World } from './sync-world.js';

const SEEDS = Number(process.env.SHADOW_SEEDS ?? 700);
const FIRST = Number(process.env.SHADOW_SEED ?? 1);
/** Seeds of one test: few, so that its time limit holds on a busy machine too. */
const BLOCK = 25;

type SideName = 'local' | 'cloud';
/** `reported.o.x` and its value as JSON text; the model knows a shadow by its leaves. */
type Leaves = Map<string, string>;

const PATHS = ['a', 'b', 'o.x', 'o.y', 'o.p.q'].flatMap((path) => [`desired.${path}`, `reported.${path}`]);

function leavesOf(state: ShadowState | undefined): Leaves {
  const leaves: Leaves = new Map();
  const walk = (value: Json, path: string) => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [key, inner] of Object.entries(value)) walk(inner, path === '' ? key : `${path}.${key}`);
    } else leaves.set(path, JSON.stringify(value));
  };
  if (state) walk(state as JsonObject, '');
  return leaves;
}

function stateIn(answer: Buffer): ShadowState | undefined {
  const { state } = JSON.parse(answer.toString()) as { state?: ShadowState & { delta?: object } };
  if (!state) return undefined;
  const { delta: _delta, ...parts } = state;
  return parts;
}

function put(object: JsonObject, path: string, value: Json): void {
  const [first, ...rest] = path.split('.') as [string, ...string[]];
  if (rest.length === 0) object[first] = value;
  else {
    object[first] ??= {};
    put(object[first] as JsonObject, rest.join('.'), value);
  }
}

/** What one side did to one leaf in this phase. */
interface Write {
  readonly value: string | undefined;
  /** It was written over the other side's last write: whoever wrote it knew that one. Told by the value, which is unique. */
  readonly isLater: boolean;
}

class Run {
  readonly key: string;
  readonly world: World;
  readonly writes: Record<SideName, Map<string, Write>> = { local: new Map(), cloud: new Map() };
  before: ShadowState | undefined;
  /** In this phase: the cloud deleted the whole shadow; the link broke. */
  wasDeleted = false;
  didBreak = false;
  #counter = 0;

  constructor(seed: number, folder: string) {
    this.key = seed % 3 === 0 ? 'lamp/config' : 'lamp';
    const thing = { thingName: 'lamp', direction: 'both' as const, shadowNames: ['config'] };
    this.world = new World(join(folder, `${seed}.db`), seed, [thing]);
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.world.random() * from.length)] as T;
  }

  async stateOf(side: SideName): Promise<ShadowState | undefined> {
    return side === 'cloud' ? this.world.cloudState(this.key) : this.world.localState(this.key);
  }

  /** An operation on one side, written down for the model. */
  async operate(side: SideName): Promise<void> {
    const { service } = this.world;
    const [operation, body] = this.#operation();
    if (side === 'cloud') {
      const before = leavesOf(this.world.cloudState(this.key));
      this.world.atCloud(this.key, operation, body);
      this.#note(side, before, leavesOf(this.world.cloudState(this.key)), operation);
      return;
    }
    // In one turn, so that no step of the sync can come between them.
    const [before, , after] = await Promise.all([
      service.request(this.key, 'get'),
      service.request(this.key, operation, Buffer.from(body)),
      service.request(this.key, 'get'),
    ]);
    this.#note(side, leavesOf(stateIn(before)), leavesOf(stateIn(after)), operation);
  }

  #operation(): ['update' | 'delete', string] {
    const { random } = this.world;
    const chance = random();
    if (chance < 0.08) return ['delete', '{}'];
    const state: JsonObject = {};
    if (chance < 0.16) state[this.pick(['desired', 'reported'])] = null;
    else {
      for (let count = 1 + Math.floor(random() * 3); count > 0; count--) {
        const value = ++this.#counter;
        put(state, this.pick(PATHS), this.pick<Json>([value, value, [value, { deep: value }], null]));
      }
    }
    return ['update', JSON.stringify({ state })];
  }

  #note(side: SideName, before: Leaves, after: Leaves, operation: 'update' | 'delete'): void {
    const others = this.writes[side === 'local' ? 'cloud' : 'local'];
    if (side === 'cloud' && operation === 'delete') this.wasDeleted = true;
    for (const path of PATHS) {
      const [old, value] = [before.get(path), after.get(path)];
      const other = others.get(path);
      if (old === value) continue;
      const isLater = old !== undefined && other?.value === old;
      this.writes[side].set(path, { value, isLater });
      if (other) others.set(path, { ...other, isLater: false });
    }
  }

  /** An operation or a fault, and some time: the link comes and goes, the core crashes, its wall clock jumps. */
  async something(): Promise<void> {
    const { world } = this;
    const chance = world.random();
    if (chance < 0.35) await this.operate('local');
    else if (chance < 0.7) await this.operate('cloud');
    else if (chance < 0.8) {
      world.disconnect();
      this.didBreak = true;
    } else if (chance < 0.9) world.connect();
    else if (chance < 0.93) {
      await world.crash();
      this.didBreak = true;
    } else if (chance < 0.95) world.wallClock += (world.random() - 0.5) * 1e12;
    await world.pass(world.random() < 0.5 ? 0 : world.random() * 150);
  }

  /** Both sides at rest; the states must be equal, and what `allowed` says of each leaf. */
  async check(allowed: (path: string, was: string | undefined) => Array<string | undefined>): Promise<void> {
    this.world.connect();
    await this.world.rest();
    const [local, cloud] = [await this.stateOf('local'), await this.stateOf('cloud')];
    expect(local).toEqual(cloud);
    const [was, is] = [leavesOf(this.before), leavesOf(local)];
    for (const path of PATHS) {
      const values = allowed(path, was.get(path));
      if (!values.includes(is.get(path))) {
        throw new Error(
          `${path} is ${is.get(path)}, the rule says ${values.join(' or ')} (it was ${was.get(path)})`,
        );
      }
    }
    for (const versions of Object.values(this.world.versions)) {
      for (const [index, version] of versions.entries()) {
        const last = versions[index - 1];
        if (last !== undefined && version <= last) throw new Error(`version ${version} came after ${last}`);
      }
    }
    // Once in step nothing is said any more.
    this.world.requests.length = 0;
    await this.world.pass(3_600_000);
    expect(this.world.requests).toEqual([]);
    this.before = local;
    this.wasDeleted = this.didBreak = false;
    this.writes.local.clear();
    this.writes.cloud.clear();
  }

  /** No link while both sides change: the rule says exactly what comes out. */
  async apart(): Promise<void> {
    this.world.disconnect();
    for (let count = this.world.random() * 8; count > 0; count--) {
      await this.operate(this.pick(['local', 'cloud'] as const));
      if (this.world.random() < 0.1) await this.world.crash();
    }
    await this.world.pass(10_000);
    const ends = {
      local: leavesOf(await this.stateOf('local')),
      cloud: leavesOf(await this.stateOf('cloud')),
    };
    await this.check((path, was) => {
      const { local, cloud } = { local: ends.local.get(path), cloud: ends.cloud.get(path) };
      if (local === was) return [cloud];
      if (cloud === was) return [local];
      return [path.startsWith('desired') ? cloud : local];
    });
  }

  /** All at once. Of what both sides wrote one of the last two holds, and the later one where it knew the other. */
  async together(): Promise<void> {
    for (let count = 5 + this.world.random() * 15; count > 0; count--) await this.something();
    const { local, cloud } = { local: new Map(this.writes.local), cloud: new Map(this.writes.cloud) };
    const { wasDeleted, didBreak } = this;
    await this.check((path, was) => {
      const [ours, theirs] = [local.get(path), cloud.get(path)];
      if (!ours && !theirs) return [was];
      // Where an answer was lost with the link, nobody can know whether the deletion came before or after: it is not undone.
      const deleted = ours && wasDeleted && didBreak ? [undefined] : [];
      if (!ours || !theirs) return [(ours ?? theirs)?.value, ...deleted];
      if (ours.isLater) return [ours.value, ...deleted];
      // Where the answer was lost with the link, a change that was undone meanwhile looks like one that never arrived.
      const isUndone = theirs.value === undefined;
      if (theirs.isLater && path.startsWith('desired') && !isUndone) return [theirs.value, ...deleted];
      return [ours.value, theirs.value, ...deleted];
    });
  }
}

async function run(seed: number, folder: string): Promise<void> {
  const run = new Run(seed, folder);
  await run.world.boot();
  try {
    for (let phases = 4; phases > 0; phases--) {
      if (run.world.random() < 0.4) await run.apart();
      else await run.together();
    }
  } catch (error) {
    throw new Error(`seed ${seed} (SHADOW_SEED=${seed} SHADOW_SEEDS=1): ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    await run.world.close();
  }
}

describe('both sides converge', () => {
  const folder = mkdtempSync(join(IN_MEMORY, 'greengrass-convergence-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const blocks = Array.from({ length: Math.ceil(SEEDS / BLOCK) }, (_, n) => FIRST + n * BLOCK);

  it.each(blocks)('seeds from %d on', async (first) => {
    for (let seed = first; seed < Math.min(first + BLOCK, FIRST + SEEDS); seed++) await run(seed, folder);
  });
});
