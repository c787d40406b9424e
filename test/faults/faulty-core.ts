/** A whole system whose core is killed or held at the named steps of a deployment. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CreateDeploymentCommand,
  type FunctionConfiguration,
  GetDeploymentStatusCommand,
} from '@aws-sdk/client-greengrass';
import type { DeploymentStep } from '../../greengrass/core/deployment/steps.js';
import { isolationFolder } from '../../greengrass/core/isolation/place.js';
import type { Device } from '../../greengrass/dev/device.js';
import { leftCgroups } from '../../greengrass/dev/leftovers.js';
import { isLinkProtected, type RunningCloud, startCloud } from '../../greengrass/dev/programs.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { type DeploymentOutcome, defineGroup, publishFunction } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

const GREENGRASSD = fileURLToPath(new URL('../../greengrass/core/bin/greengrassd.js', import.meta.url));

/** Answers with the version of its code. */
const SOURCE = (version: number) => `
import json, greengrasssdk
client = greengrasssdk.client('iot-data')
def handler(event, context):
    client.publish(topic='answer', payload=json.dumps({'version': ${version}, 'token': event['token']}))
`;

const PINNED: FunctionConfiguration = {
  Pinned: true,
  Timeout: 20,
  Environment: { Execution: { IsolationMode: 'NoContainer' } },
};
const CONTAINED: FunctionConfiguration = { Pinned: true, Timeout: 20, MemorySize: 65_536 };

export class FaultyCore {
  readonly steps: string;
  #number = 0;
  /** The cloud that took the place of the system's own. */
  #cloud: RunningCloud | undefined;

  private constructor(readonly system: TestSystem) {
    this.steps = join(system.folder, 'steps');
    mkdirSync(this.steps);
  }

  static async make(): Promise<FaultyCore> {
    return new FaultyCore(await startSystem(['sensor']));
  }

  /** `greengrassd`, with the steps switched on and `env` besides. */
  async greengrassd(verb: 'start' | 'stop', env: NodeJS.ProcessEnv = {}): Promise<void> {
    const insecure = isLinkProtected() ? [] : ['-i'];
    const args = [GREENGRASSD, '--root', this.system.root, ...insecure, verb];
    const { code, stdout, stderr } = await run(process.execPath, args, {
      env: { ...process.env, ...env, GREENGRASS_TEST_STEPS: this.steps },
      timeoutMs: 60_000,
    });
    if (code !== 0) throw new Error(`greengrassd ${verb} ended with ${code}: ${stdout}${stderr}`);
  }

  get pid(): number {
    return Number(readFileSync(join(this.system.folder, 'run', 'greengrassd.pid'), 'utf8'));
  }

  /** What the next deployment does when it gets there; `undefined` lets it pass again. */
  at(step: DeploymentStep, what: 'kill' | 'hold' | undefined): void {
    rmSync(join(this.steps, step), { force: true });
    for (const kind of ['kill', 'hold']) rmSync(join(this.steps, `${step}.${kind}`), { force: true });
    if (what) writeFileSync(join(this.steps, `${step}.${what}`), '');
  }

  async reached(step: DeploymentStep): Promise<void> {
    await waitFor(() => existsSync(join(this.steps, step)), { timeoutMs: 30_000, what: `step ${step}` });
  }

  /** The process is gone, and nobody waits for it any more. */
  async ended(pid: number): Promise<void> {
    await waitFor(() => !existsSync(`/proc/${pid}`), { timeoutMs: 30_000, what: `end of ${pid}` });
  }

  runtimeLog(): string {
    return this.system.log('system/runtime.log');
  }

  /** The cloud is gone from one moment to the next, with all its connections. */
  async cutCloud(): Promise<void> {
    const { process: child } = this.#cloud ?? this.system.cloud;
    child.kill('SIGKILL');
    await waitFor(() => child.signalCode !== null);
  }

  /** The same cloud is there again, at the same ports. */
  async restoreCloud(): Promise<void> {
    const { api, mqtt, https } = this.system.cloud.info;
    const ports = { api: Number(new URL(api).port), mqtt: mqtt.port, https: https.port };
    this.#cloud = await startCloud(join(this.system.folder, 'cloud'), ports);
  }

  async close(): Promise<void> {
    await this.greengrassd('stop').catch(() => undefined);
    await this.#cloud?.stop();
    await this.system.close();
  }

  /** Code of a new version of the function, which is what a new group of ours differs in. */
  async publish(): Promise<{ version: number; arn: string }> {
    this.#number += 1;
    const files = { 'main.py': SOURCE(this.#number) };
    const arn = await publishFunction(this.system, { name: 'probe', handler: 'main.handler', files });
    return { version: this.#number, arn };
  }

  /** A group version with the newest code in and out of a container; answers its id and the version of the code. */
  async define(): Promise<{ version: number; groupVersionId: string }> {
    const { version, arn } = await this.publish();
    const files = { 'main.py': `${SOURCE(version)}\n# contained` };
    const contained = await publishFunction(this.system, { name: 'box', handler: 'main.handler', files });
    const groupVersionId = await defineGroup(this.system, {
      functions: [
        { arn, configuration: PINNED },
        { arn: contained, configuration: CONTAINED },
      ],
      subscriptions: [
        [this.sensor, 'ask', arn],
        [arn, 'answer', this.sensor],
        [this.sensor, 'ask', contained],
        [contained, 'answer', this.sensor],
      ],
    });
    return { version, groupVersionId };
  }

  get sensor(): string {
    const { region, accountId } = this.system.cloud.info;
    return `arn:aws:iot:${region}:${accountId}:thing/sensor`;
  }

  async create(groupVersionId: string): Promise<string> {
    const { DeploymentId = '' } = await this.system.clients.greengrass.send(
      new CreateDeploymentCommand({
        GroupId: this.system.groupId,
        GroupVersionId: groupVersionId,
        DeploymentType: 'NewDeployment',
      }),
    );
    return DeploymentId;
  }

  async status(DeploymentId: string): Promise<DeploymentOutcome> {
    return this.system.clients.greengrass.send(
      new GetDeploymentStatusCommand({ GroupId: this.system.groupId, DeploymentId }),
    );
  }

  async end(deploymentId: string, timeoutMs = 60_000): Promise<DeploymentOutcome> {
    return waitFor(
      async () => {
        const outcome = await this.status(deploymentId);
        return ['Success', 'Failure'].includes(outcome.DeploymentStatus ?? '') ? outcome : undefined;
      },
      { timeoutMs, what: `end of deployment ${deploymentId}` },
    );
  }

  /** The versions of the code that both functions answer with, as a device hears it. */
  async versions(): Promise<number[]> {
    const device = await waitFor(() => this.system.device('sensor'), { timeoutMs: 20_000 });
    const token = `t${Math.random()}`;
    try {
      await device.subscribe('answer');
      await device.publish('ask', JSON.stringify({ token }));
      const answers = () => answersOf(device, token);
      await waitFor(() => answers().length === 2, { timeoutMs: 20_000, what: 'answers of both functions' });
      return answers();
    } finally {
      await device.close();
    }
  }

  /** Names of what lies below the core's deployment folder. */
  files(...below: string[]): string[] {
    const folder = join(this.system.root, 'ggc/deployment', ...below);
    return existsSync(folder) ? readdirSync(folder).sort() : [];
  }

  /** How much of workers is on the machine: control groups and container folders. */
  workerTraces(): { cgroups: number; bundles: number } {
    const { root } = this.system;
    const groups = leftCgroups(root).flatMap((folder) =>
      readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name),
    );
    const bundles = isolationFolder(join(root, 'ggc'));
    return { cgroups: new Set(groups).size, bundles: existsSync(bundles) ? readdirSync(bundles).length : 0 };
  }
}

function answersOf(device: Device, token: string): number[] {
  return device.received
    .map(({ payload }) => JSON.parse(payload.toString('utf8')) as { version: number; token: string })
    .filter((answer) => answer.token === token)
    .map(({ version }) => version);
}
