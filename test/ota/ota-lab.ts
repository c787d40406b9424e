/** A cloud and a core that was installed from a real package, with its OTA agent; all of it as processes. */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CreateSoftwareUpdateJobCommand, type UpdateTargetsArchitecture } from '@aws-sdk/client-greengrass';
import { DescribeJobExecutionCommand, IoTClient, type JobExecution } from '@aws-sdk/client-iot';
import { PidFile } from '../../greengrass/core/pid-file.js';
import { readRootConfig } from '../../greengrass/core/root-config.js';
import { isLinkProtected } from '../../greengrass/dev/programs.js';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { type ChildProcess, run, start, waitForExit } from '../../greengrass/lib/subprocess.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

const BUILD = fileURLToPath(new URL('../..', import.meta.url));
const CLOUD = join(BUILD, 'greengrass/cloud/bin/greengrass-cloud.js');
const INSECURE = isLinkProtected() ? [] : ['-i'];
const ARCHITECTURE = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
/** A whole package to update to first: `npm run package -- DIR --version 1.0.1`; the others are small by links. */
const WHOLE = process.env.OTA_WHOLE;
const WHOLE_VERSION = '1.0.1';
const FIRST_VERSION = '1.0.0';
/** How long a daemon that hangs is waited for, in all versions. */
const STOP = { '60_000': 5_000 };
const ENDED = ['SUCCEEDED', 'FAILED', 'REJECTED', 'CANCELED'];

/** Runs a program that has to succeed; answers what it printed. */
async function must(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

export class OtaLab {
  #agent: ChildProcess | undefined;
  #lastVersion = 0;
  /** The tarball that all others are made of. */
  #first = '';
  /** Where the agent may be held and killed. */
  readonly steps: string;

  private constructor(
    readonly system: TestSystem,
    readonly iot: IoTClient,
    readonly key: string,
  ) {
    this.steps = join(system.folder, 'steps');
    mkdirSync(this.steps);
  }

  /** Version 1.0.0 is unpacked and trusts the operator's key; neither core nor agent runs yet. */
  static async open(devices: readonly string[] = []): Promise<OtaLab> {
    const system = await startSystem(devices);
    const key = join(system.folder, 'signing.key');
    await must(process.execPath, CLOUD, 'software', 'key', '--out', key);
    copyFileSync(`${key}.pub`, join(system.root, 'certs/software.pub'));
    const { api: endpoint, accessKeyId, secretAccessKey } = system.cloud.info;
    const credentials = { accessKeyId, secretAccessKey };
    const lab = new OtaLab(system, new IoTClient({ endpoint, region: 'us-east-1', credentials }), key);
    lab.#first = await lab.#buildFirst();
    await must('tar', '-xzf', lab.#first, '-C', system.folder);
    hasten(join(system.root, 'ggc/core'), STOP);
    return lab;
  }

  get root(): string {
    return this.system.root;
  }

  /** Version that `ggc/core` leads to. */
  get installed(): string {
    return readlinkSync(join(this.root, 'ggc/core')).replace('packages/', '');
  }

  get agentVersion(): string {
    return readlinkSync(join(this.root, 'ota/ota_agent')).split('/').at(-1) ?? '';
  }

  /** Version of the daemon that was started last. */
  get running(): string {
    return (
      this.system
        .log('system/runtime.log')
        .match(/Greengrass Version: (\S+)/g)
        ?.at(-1)
        ?.split(' ')
        .at(-1) ?? ''
    );
  }

  get agentLog(): string {
    return readFileSync(join(this.root, 'ota/ggc_ota.txt'), 'utf8');
  }

  /** Builds the first package, with what is large linked to where it lies here; answers the tarball. */
  async #buildFirst(): Promise<string> {
    const script = join(PACKAGE_ROOT, 'greengrass/dev/package.mjs');
    const options = ['--dist', BUILD, '--linked', '--version', FIRST_VERSION];
    const file = await must(process.execPath, script, join(this.system.folder, 'packages'), ...options);
    return file.trim();
  }

  /** A package as the first one, of another version; answers the tarball. */
  async build(version: string, edit?: (home: string) => void): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), 'greengrass-edit-'));
    try {
      await must('tar', '-xzf', this.#first, '-C', folder);
      const packages = join(folder, 'greengrass/ggc/packages');
      const home = join(packages, version);
      renameSync(join(packages, FIRST_VERSION), home);
      const description = join(home, 'package.json');
      const known = JSON.parse(readFileSync(description, 'utf8')) as object;
      writeFileSync(description, JSON.stringify({ ...known, version }));
      for (const [link, target] of [
        ['ggc/core', `packages/${version}`],
        ['ota/ota_agent', `../ggc/packages/${version}`],
      ] as const) {
        rmSync(join(folder, 'greengrass', link));
        symlinkSync(target, join(folder, 'greengrass', link));
      }
      hasten(home, STOP);
      edit?.(home);
      const file = this.#first.replace(`-${FIRST_VERSION}.`, `-${version}.`);
      await must('tar', '-czf', file, '-C', folder, 'greengrass');
      return file;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Puts the next version into the cloud, as an operator does; answers it. */
  async publish(edit?: (home: string) => void, key = this.key): Promise<string> {
    const version = `1.0.${++this.#lastVersion}`;
    const file = version === WHOLE_VERSION && WHOLE ? WHOLE : await this.build(version, edit);
    const data = join(this.system.folder, 'cloud');
    await must(process.execPath, CLOUD, 'software', 'add', file, '--data', data, '--key', key);
    return version;
  }

  /** Starts a job for the newest version; answers its id. */
  async update(software: 'core' | 'ota_agent' = 'core'): Promise<string> {
    const { IotJobId = '' } = await this.system.clients.greengrass.send(
      new CreateSoftwareUpdateJobCommand({
        S3UrlSignerRole: 'arn:aws:iam::123456789012:role/signer',
        SoftwareToUpdate: software,
        UpdateAgentLogLevel: 'DEBUG',
        UpdateTargets: [`arn:aws:iot:us-east-1:${this.system.cloud.info.accountId}:thing/test-core`],
        UpdateTargetsArchitecture: ARCHITECTURE as UpdateTargetsArchitecture,
        UpdateTargetsOperatingSystem: 'ubuntu',
      }),
    );
    return IotJobId;
  }

  /** How the job ended on the core. */
  async end(jobId: string, timeoutMs = 60_000): Promise<JobExecution> {
    const command = new DescribeJobExecutionCommand({ jobId, thingName: 'test-core' });
    return waitFor(
      async () => {
        const { execution } = await this.iot.send(command);
        return ENDED.includes(execution?.status ?? '') ? execution : undefined;
      },
      { timeoutMs, intervalMs: 100, what: `the end of job ${jobId}` },
    );
  }

  /** The command of the package, as on a device. A code other than 0 is a result. */
  greengrassd(verb: 'start' | 'stop' | 'status') {
    const program = join(this.root, 'ggc/core/greengrassd');
    return run(program, ['--root', this.root, ...INSECURE, verb], { timeoutMs: 120_000 });
  }

  async startAgent(): Promise<void> {
    this.#agent = await start(
      join(this.root, 'ota/ota_agent/ggc-ota'),
      [...INSECURE, '--health-window', '1'],
      {
        ...{ detached: true, stdio: ['ignore', 'ignore', 'inherit'] },
        env: { ...process.env, GREENGRASS_TEST_STEPS: this.steps },
      },
    );
  }

  /** SIGTERM, as an init system does; resolves with the exit code of ggc-ota. */
  async stopAgent(): Promise<number | null> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (!agent) return null;
    agent.kill('SIGTERM');
    return (await waitForExit(agent)).code;
  }

  at(step: string, what: 'kill' | 'hold' | undefined): void {
    for (const one of ['kill', 'hold']) rmSync(join(this.steps, `${step}.${one}`), { force: true });
    rmSync(join(this.steps, step), { force: true });
    if (what) writeFileSync(join(this.steps, `${step}.${what}`), '');
  }

  /** What a power cut leaves: agent, its keeper and the daemon are gone. */
  async powerCut(): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (agent?.pid !== undefined) {
      process.kill(-agent.pid, 'SIGKILL');
      await waitForExit(agent);
    }
    const { pidFileDirectory } = readRootConfig(this.root).config;
    const pid = new PidFile(pidFileDirectory, this.root).running();
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  }

  /** What the device's init system does after it. */
  async boot(): Promise<void> {
    await this.greengrassd('start');
    await this.startAgent();
  }

  async close(): Promise<void> {
    await this.stopAgent();
    await this.greengrassd('stop').catch(() => undefined);
    this.iot.destroy();
    await this.system.close();
  }
}

/** Puts code before what the daemon does, or after it: there the daemon has said that it is ready. */
export function inDaemon(home: string, place: 'before' | 'after', code: string): void {
  const file = join(home, 'dist/greengrass/core/bin/daemon.js');
  const whole = readFileSync(file, 'utf8');
  rmSync(file);
  writeFileSync(file, place === 'before' ? `${code}\n${whole}` : `${whole}\n${code}\n`);
}

/** Waiting times of greengrassd, in ms, shorter than they are for users. */
export function hasten(home: string, times: Readonly<Record<string, number>>): void {
  const file = join(home, 'dist/greengrass/core/bin/greengrassd.js');
  let text = readFileSync(file, 'utf8');
  for (const [old, ms] of Object.entries(times)) {
    if (!text.includes(old)) throw new Error(`${file} does not hold ${old}`);
    text = text.replace(old, String(ms));
  }
  rmSync(file);
  writeFileSync(file, text);
}
