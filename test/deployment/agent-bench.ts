/** A deployment agent between a cloud and a core that do what the test says. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeploymentAgent } from '../../greengrass/core/deployment/agent.js';
import { ArtifactStore } from '../../greengrass/core/deployment/artifact-store.js';
import { GroupStore } from '../../greengrass/core/deployment/group-store.js';
import { STAGE_LIMITS_MS, type StageLimits } from '../../greengrass/core/deployment/stage-limits.js';
import { createLogger } from '../../greengrass/lib/log.js';
import type { DeploymentReport } from '../../greengrass/model/deployment.js';
import { waitFor } from '../support/wait-for.js';
import { CloudSide, CORE, sha256 } from './cloud-side.js';
import { zipOf } from './zip.js';

export const ARN = 'arn:aws:lambda:us-east-1:123456789012:function:hello:1';
export const ZIP = zipOf([{ name: 'main.py', data: 'print(1)' }]);

export function functionOf(zip: Buffer): object {
  return {
    FunctionArn: ARN,
    ArtifactArn: `arn:aws:greengrass:us-east-1:1:/artifacts/lambda/${sha256(zip)}`,
    DeploymentConfiguration: { MemorySize: 16384, Runtime: 'python3.11', Handler: 'main.handler' },
  };
}

export function groupOf(version: string, functions: object[] = [], subscriptions: object[] = []): object {
  return {
    Version: version,
    Cores: [
      {
        thingArn: `arn:aws:iot:us-east-1:123456789012:thing/${CORE}`,
        certArn: `arn:aws:iot:us-east-1:123456789012:cert/${'a'.repeat(64)}`,
      },
    ],
    GroupDefinitions: { Lambdas: { Content: functions }, Subscriptions: { Content: subscriptions } },
  };
}

export class AgentBench {
  readonly root = mkdtempSync(join(tmpdir(), 'greengrass-agent-'));
  readonly cloud = new CloudSide();
  readonly groups = new GroupStore(this.root);
  /** What the core was told to do, in order. */
  readonly steps: string[] = [];
  /** Errors that the named step throws. */
  readonly failing = new Map<string, Error>();
  readonly lines: Array<Record<string, unknown> & { msg: string }> = [];
  /** A swap waits for it. */
  gate: Promise<void> | undefined;
  agent: DeploymentAgent;

  constructor(readonly limits: StageLimits = STAGE_LIMITS_MS) {
    this.agent = this.#make();
  }

  static async start(): Promise<AgentBench> {
    const bench = new AgentBench();
    await bench.agent.start();
    return bench;
  }

  /** The core's process ends and starts again. */
  async restart(): Promise<void> {
    await this.agent.stop();
    this.cloud.forget();
    this.agent = this.#make();
    await this.agent.start();
  }

  /** The last report of a deployment that is at its end. */
  endOf(deploymentId: string): Promise<DeploymentReport> {
    return waitFor(() => this.cloud.endOf(deploymentId), { what: `end of ${deploymentId}` });
  }

  /** What was asked for has been answered, and dealt with where it was a notice. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Swaps wait until the answered function is called. */
  hold(): () => void {
    let open = () => {};
    this.gate = new Promise((resolve) => {
      open = resolve;
    });
    return () => open();
  }

  /** Overwrites the file that says which deployment the group came with. */
  breakMark(text: string): void {
    writeFileSync(join(this.root, 'deployment', 'group', 'deployment.json'), text);
  }

  reportFile(): string {
    return join(this.root, 'var', 'state', 'deployment-report.json');
  }

  async close(): Promise<void> {
    await this.agent.stop();
    rmSync(this.root, { recursive: true, force: true });
  }

  #make(): DeploymentAgent {
    return new DeploymentAgent({
      thingName: CORE,
      writeDirectory: this.root,
      link: this.cloud,
      service: this.cloud,
      groupStore: this.groups,
      artifacts: new ArtifactStore(this.root),
      fetchSecrets: async () => undefined,
      swap: async (group, codeFolders) => {
        await this.gate;
        this.#step('swap');
        this.steps.push(`${group.Version}:${[...codeFolders.keys()].join()}`);
        for (const folder of codeFolders.values()) expect(existsSync(folder)).toBe(true);
        return {
          health: async () => this.#step('health'),
          commit: async () => this.#step('commit'),
          rollback: async () => this.#step('rollback'),
        };
      },
      reset: async () => this.#step('reset'),
      limits: this.limits,
      logger: createLogger({
        level: 'debug',
        stream: { write: (text: string) => this.lines.push(JSON.parse(text)) },
      }),
    });
  }

  #step(name: string): void {
    this.steps.push(name);
    const error = this.failing.get(name);
    if (error) throw error;
  }
}
