/**
 * How long a deployment takes, from CreateDeployment to Success, on a real cloud and a real core, as root. For groups of so many pinned functions (1 10 100 where
 * nothing is said) in containers: the first deployment, then one subscription more, then one function changed, and beside
 * them what a deployment of V1 cost, which stopped and started the whole core.
 */
import { readdirSync } from 'node:fs';
import { CreateDeploymentCommand, GetDeploymentStatusCommand } from '@aws-sdk/client-greengrass';
import { leftCgroups } from '../../../greengrass/dev/leftovers.js';
import { greengrassd } from '../../../greengrass/dev/programs.js';
import { defineGroup, publishFunction } from '../../support/group.js';
import { startSystem, type TestSystem } from '../../support/system.js';
import type { Figure } from '../run.js';

const SOURCE = (index: number) => `# ${index}\ndef handler(event, context):\n    pass\n`;
const CHANGES = 5;

const configuration = (variables: Record<string, string> = {}) => ({
  Pinned: true,
  MemorySize: 65_536,
  Timeout: 20,
  Environment: { Variables: variables },
});

/** Milliseconds from CreateDeployment to Success. */
async function deploy({ clients, groupId: GroupId }: TestSystem, GroupVersionId: string): Promise<number> {
  const begin = performance.now();
  const { DeploymentId = '' } = await clients.greengrass.send(
    new CreateDeploymentCommand({ GroupId, GroupVersionId, DeploymentType: 'NewDeployment' }),
  );
  for (;;) {
    const { DeploymentStatus, ErrorMessage } = await clients.greengrass.send(
      new GetDeploymentStatusCommand({ GroupId, DeploymentId }),
    );
    if (DeploymentStatus === 'Success') return performance.now() - begin;
    if (DeploymentStatus === 'Failure') throw new Error(ErrorMessage);
    await new Promise((wake) => setTimeout(wake, 5));
  }
}

/** Ids of the workers that run: each has a control group of its own. */
function workers({ root }: TestSystem): Set<string> {
  const folders = leftCgroups(root).flatMap((folder) => readdirSync(folder, { withFileTypes: true }));
  return new Set(folders.filter((entry) => entry.isDirectory()).map(({ name }) => name));
}

/** How many workers are new since `before`. */
function started(system: TestSystem, before: ReadonlySet<string>): number {
  return [...workers(system)].filter((id) => !before.has(id)).length;
}

export async function deployments(counts: readonly number[] = [1, 10, 100]): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const count of counts) figures.push(...(await measure(count)));
  return figures;
}

async function measure(count: number): Promise<Figure[]> {
  const system = await startSystem(['sensor']);
  try {
    await greengrassd(system.root, 'start');
    const arns: string[] = [];
    for (let index = 0; index < count; index++) {
      const files = { 'main.py': SOURCE(index) };
      arns.push(await publishFunction(system, { name: `f${index}`, handler: 'main.handler', files }));
    }
    const define = (topics: number, changed?: string) =>
      defineGroup(system, {
        functions: arns.map((arn, index) => ({
          arn,
          configuration: configuration(index === 0 && changed ? { CHANGED: changed } : {}),
        })),
        subscriptions: Array.from(
          { length: topics },
          (_, n) => ['cloud', `topic/${n}`, arns[0] ?? 'cloud'] as const,
        ),
      });
    const first = await deploy(system, await define(1));
    const before = workers(system);
    const subscription: number[] = [];
    for (let n = 0; n < CHANGES; n++) subscription.push(await deploy(system, await define(2 + n)));
    const restarts = started(system, before);
    const settled = workers(system);
    const changed: number[] = [];
    for (let n = 0; n < CHANGES; n++) changed.push(await deploy(system, await define(1 + CHANGES, `v${n}`)));
    const restartsOfChange = started(system, settled);
    const whole = await fullRestart(system);
    const figure = (name: string, value: number, runs: number, unit = 'ms'): Figure => ({
      name: `${count} pinned function(s): ${name}`,
      unit,
      value,
      runs,
    });
    return [
      figure('first deployment', first, 1),
      figure('one subscription more', median(subscription), CHANGES),
      figure('functions restarted by that', restarts, CHANGES, 'functions'),
      figure('one function changed', median(changed), CHANGES),
      figure('functions restarted by that', restartsOfChange, CHANGES, 'functions'),
      figure("V1's way: stop and start of the whole core", whole, 1),
    ];
  } finally {
    await system.close();
  }
}

/** Until the process of every function is there again, which `restart` waits for. */
async function fullRestart({ root }: TestSystem): Promise<number> {
  const begin = performance.now();
  await greengrassd(root, 'restart');
  return performance.now() - begin;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
