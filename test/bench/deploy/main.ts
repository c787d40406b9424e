/**
 * How long a deployment takes, from CreateDeployment to Success, on a real cloud and a real core, as root. For groups of so many pinned functions (1 10 100 where
 * nothing is said) in containers: the first deployment, then one subscription more, then one function changed, and beside
 * them what a deployment of V1 cost, which stopped and started the whole core.
 */
import { CreateDeploymentCommand, GetDeploymentStatusCommand } from '@aws-sdk/client-greengrass';
import { greengrassd } from '../../../greengrass/dev/programs.js';
import { defineGroup, publishFunction } from '../../support/group.js';
import { startSystem, type TestSystem } from '../../support/system.js';
import { waitFor } from '../../support/wait-for.js';
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

const started = (system: TestSystem) => system.log('system/runtime.log').split('Created worker.').length - 1;

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
    const before = started(system);
    const subscription: number[] = [];
    for (let n = 0; n < CHANGES; n++) subscription.push(await deploy(system, await define(2 + n)));
    const restarts = started(system) - before;
    const changed: number[] = [];
    for (let n = 0; n < CHANGES; n++) changed.push(await deploy(system, await define(1 + CHANGES, `v${n}`)));
    const restartsOfChange = (started(system) - before - restarts) / CHANGES;
    const whole = await fullRestart(system, count);
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
      figure('functions restarted by that, each time', restartsOfChange, CHANGES, 'functions'),
      figure("V1's way: stop and start of the whole core", whole, 1),
    ];
  } finally {
    await system.close();
  }
}

/** Until the process of every function is there again. */
async function fullRestart(system: TestSystem, count: number): Promise<number> {
  const before = started(system);
  const begin = performance.now();
  await greengrassd(system.root, 'restart');
  await waitFor(() => started(system) - before >= count, { timeoutMs: 120_000, intervalMs: 5 });
  return performance.now() - begin;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
