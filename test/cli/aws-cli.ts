/** AWS's own command line, where it is installed, kept loaded: starting it takes longer than all that it does. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { check, z } from '../../greengrass/lib/check.js';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { type ChildProcess, start, stop } from '../../greengrass/lib/subprocess.js';
import type { Ended, Environment } from './gg.js';

/** Debian's is a Python program, which can be kept loaded; the one that AWS ships is a binary. */
const AWS = '/usr/bin/aws';
const PYTHON = /^#!(\/usr\/bin\/python3)\n/;

function interpreter(): string | undefined {
  if (!existsSync(AWS)) return undefined;
  return PYTHON.exec(readFileSync(AWS, 'latin1').slice(0, 64))?.[1];
}

export const awsIsThere = interpreter() !== undefined;

const end = z.object({ id: z.number(), code: z.number() });

export class AwsCli {
  readonly #folder = mkdtempSync(join(tmpdir(), 'gg-aws-'));
  readonly #waiting = new Map<number, (code: number) => void>();
  #last = 0;

  private constructor(readonly server: ChildProcess) {
    if (!server.stdout) throw new Error('the server of AWS command lines has no output');
    createInterface(server.stdout).on('line', (line) => {
      const { id, code } = check(end, JSON.parse(line), 'an answer of aws-server.py');
      this.#waiting.get(id)?.(code);
      this.#waiting.delete(id);
    });
  }

  static async start(): Promise<AwsCli> {
    const script = join(PACKAGE_ROOT, 'test/cli/aws-server.py');
    return new AwsCli(await start(interpreter() ?? '', [script], { stdio: ['pipe', 'pipe', 'inherit'] }));
  }

  /** `aws greengrass ARGS`. The endpoint is an option: older versions do not read it from the environment and would ask AWS. */
  async run(env: Environment, ...args: string[]): Promise<Ended> {
    const id = ++this.#last;
    const [out, err] = ['out', 'err'].map((name) => join(this.#folder, `${id}.${name}`)) as [string, string];
    const ended = new Promise<number>((resolve) => this.#waiting.set(id, resolve));
    const whole = { PATH: process.env.PATH ?? '', ...env };
    const words = ['--endpoint-url', env.AWS_ENDPOINT_URL ?? '', 'greengrass', ...args];
    this.server.stdin?.write(`${JSON.stringify({ id, args: words, env: whole, out, err })}\n`);
    const code = await ended;
    return { code, out: readFileSync(out, 'utf8'), err: readFileSync(err, 'utf8') };
  }

  async stop(): Promise<void> {
    await stop(this.server, 5000);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
