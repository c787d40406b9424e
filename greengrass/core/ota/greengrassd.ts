/** The command of the version that `ggc/core` leads to at the moment of the call. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { run } from '../../lib/subprocess.js';
import { daemonAnswers } from './daemon-answers.js';

/** `greengrassd start` waits for the daemon by itself, for a little over a minute. */
const COMMAND_TIMEOUT_MS = 120_000;
/** A look starts a program: more of them would keep a small device from starting its group. */
const LOOK_INTERVAL_MS = 1_000;
/** What greengrassd says of a daemon that runs with a group that does not. */
const UNHEALTHY = /Some system components failed to start[^\n]*\n?(?<why>[\s\S]*)/;

export interface Started {
  /** Why it does not run as it should; absent where it does. */
  readonly problem?: string;
}

export class Greengrassd {
  constructor(
    private readonly root: string,
    private readonly options: readonly string[],
    private readonly controlSocket: string,
    private readonly timeoutMs = COMMAND_TIMEOUT_MS,
  ) {}

  async start(): Promise<Started> {
    const { code, text } = await this.#run('start');
    if (code !== 0) return { problem: text };
    const unhealthy = UNHEALTHY.exec(text);
    return unhealthy ? { problem: (unhealthy.groups?.why || text).trim() } : {};
  }

  /** What it says of a stop is no news: whether something runs then, the next start shows. */
  async stop(): Promise<void> {
    await this.#run('stop');
  }

  /** Looks on for so long, the last time at its end; answers why the daemon is not the one that was started, or undefined. */
  async problemWithin(windowMs: number): Promise<string | undefined> {
    const deadline = Date.now() + windowMs;
    let first: string | undefined;
    for (;;) {
      const isLast = Date.now() >= deadline;
      const { code, text } = await this.#run('status');
      const pid = /PID: (\d+)/.exec(text)?.[1];
      if (code !== 0 || (first !== undefined && pid !== first)) {
        return `the daemon ended after its start (${join(this.root, 'ggc/var/log/crash.log')})`;
      }
      if (isLast)
        return (await daemonAnswers(this.controlSocket)) ? undefined : 'the daemon runs, but does not answer';
      first = pid;
      await delay(Math.min(LOOK_INTERVAL_MS, Math.max(0, deadline - Date.now())));
    }
  }

  /** Why the agent of this version could not take over, or undefined. */
  async agentProblem(): Promise<string | undefined> {
    const home = join(this.root, 'ggc', 'core');
    const agent = join(home, 'dist/greengrass/core/bin/ota-agent.js');
    if (!existsSync(agent)) return undefined;
    return agentProblem(home, this.root);
  }

  async #run(verb: 'start' | 'stop' | 'status'): Promise<{ code: number; text: string }> {
    const program = join(this.root, 'ggc', 'core', 'greengrassd');
    try {
      const { code, stdout, stderr } = await run(program, ['--root', this.root, ...this.options, verb], {
        timeoutMs: this.timeoutMs,
      });
      const text = code === 0 ? stdout : stderr.trim() || stdout;
      return { code, text: text.trim().slice(-500) || `it ended with ${code}` };
    } catch (error) {
      return { code: 1, text: (error as Error).message };
    }
  }
}

/** Has the agent in the folder of a version look at itself: its files, the configuration, the credentials. */
export async function agentProblem(home: string, root: string): Promise<string | undefined> {
  const agent = join(home, 'dist/greengrass/core/bin/ota-agent.js');
  try {
    const { code, stdout, stderr } = await run(join(home, 'bin/node'), [agent, '--root', root, '--check'], {
      timeoutMs: COMMAND_TIMEOUT_MS,
    });
    return code === 0 ? undefined : `its OTA agent can't run: ${`${stdout}${stderr}`.trim().slice(-300)}`;
  } catch (error) {
    return `its OTA agent can't run: ${(error as Error).message}`;
  }
}
