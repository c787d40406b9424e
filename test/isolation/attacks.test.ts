/**
 * Hostile functions: what attacks.ts lists is tried from inside Python and Node functions, deployed and invoked like any
 * other, as an ordinary user and as uid 0, beside a victim with the same uid. Outside of a container the same scripts
 * succeed, so that a refusal means something.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { basename, join } from 'node:path';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { describeAsRoot } from '../support/as-root.js';
import { type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';
import { ATTACKS, type AttackFacts, PRELUDE } from './attacks.js';
import { NODE_ATTACKS } from './node-attacks.js';

const SECRET = 'THE SECRET OF ANOTHER FUNCTION';
/** Same for attackers, victim and a process of the host: the uid must not be what protects. */
const UID = 64001;

const PYTHON = `
import base64, json
from greengrass_common.env_vars import ROUTER_FUNCTION_ARN
from greengrass_ipc_python_sdk.ipc_client import IPCClient
ipc = IPCClient()
def handler(event, context):
    gains = []
    why = ''
    try:
        exec(event['script'], {'won': gains.append, '__name__': 'attack'})
    except BaseException as error:
        why = '%s: %s' % (type(error).__name__, error)
    context = base64.b64encode(json.dumps({'custom': {'subject': 'out'}}).encode())
    ipc.post_work(ROUTER_FUNCTION_ARN, json.dumps({'gains': gains, 'why': why}).encode(), context, 'Event')
`;

/** Its own attacks run in the process itself; Python's in a child of it, as native code of a Node function would. */
const NODE = `
const { spawnSync } = require('child_process');
const { env } = process;
const router = 'http://127.0.0.1:' + env.GG_DAEMON_PORT + '/2016-11-01/functions/' + env.ROUTER_FUNCTION_ARN;
const headers = {
  Authorization: env.AWS_CONTAINER_AUTHORIZATION_TOKEN,
  'X-Amz-Client-Context': Buffer.from('{"custom":{"subject":"out"}}').toString('base64'),
  'X-Amz-Invocation-Type': 'Event',
};
exports.handler = async (event) => {
  const gains = [];
  let why = '';
  try {
    if (event.python) {
      const { stdout, stderr } = spawnSync('/usr/bin/python3', ['-c', event.python], { encoding: 'utf8' });
      why = stderr.slice(-300);
      for (const line of stdout.split('\\n')) if (line.startsWith('WON ')) gains.push(line);
    } else {
      const run = new (Object.getPrototypeOf(async () => {}).constructor)('require', 'won', event.script);
      await run(require, (what) => gains.push(String(what)));
    }
  } catch (error) {
    why = String(error);
  }
  await fetch(router, { method: 'POST', headers, body: JSON.stringify({ gains, why }) });
};
`;

const VICTIM = `
SECRET = '${SECRET}'
held = (SECRET + ' in memory') * 1000
def handler(event, context):
    return len(held)
`;

/** Granted read-only. On cgroup v2 that is refused to uid 0. */
const DEVICE = '/dev/fuse';
const hasDevice = existsSync(DEVICE);
const isV2 = existsSync('/sys/fs/cgroup/cgroup.controllers');

interface Outcome {
  readonly gains: readonly string[];
  readonly why: string;
}

describeAsRoot('a hostile function', () => {
  let bench: FunctionBench;
  let volume: string;
  let readOnly: string;
  let server: Server;
  let facts: AttackFacts;
  let hostProcess: ReturnType<typeof spawn>;
  const attackers = new Map<string, DeployedFunction>();
  const shmKey = String(0x47470000 + (process.pid & 0xffff));
  const shmFile = `/dev/shm/greengrass-attack-${process.pid}`;

  beforeAll(async () => {
    bench = await startFunctions({}, '/var/tmp');
    volume = mkdtempSync('/var/tmp/greengrass-volume-');
    readOnly = mkdtempSync('/var/tmp/greengrass-volume-');
    for (const folder of [volume, readOnly]) chmodSync(folder, 0o777);
    copyFileSync('/usr/bin/id', join(volume, 'id'));
    chmodSync(join(volume, 'id'), 0o4755);
    execFileSync('/bin/mknod', ['-m', '666', join(volume, 'kmsg'), 'c', '1', '11']);
    mkdirSync(join(bench.folder, 'certs'));
    // Readable by everybody: only the isolation stands between.
    writeFileSync(join(bench.folder, 'certs', 'attacked.key'), SECRET, { mode: 0o644 });
    writeFileSync(shmFile, SECRET, { mode: 0o644 });
    host(`assert libc.shmget(${shmKey}, 4096, 0o1666) != -1`);
    const socket = join(bench.folder, 'core.socket');
    server = createServer((connection) => connection.destroy());
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    chmodSync(socket, 0o777);
    hostProcess = spawn('/bin/sleep', ['1000'], { uid: UID, gid: UID, stdio: 'ignore' });
    const victim = bench.define(
      'victim',
      { 'main.py': VICTIM },
      { pinned: true, environment: { PASSWORD: SECRET } },
    );
    for (const [name, uid] of [
      ['user', UID],
      ['root', 0],
    ] as const) {
      for (const [runtime, files] of [
        ['python3.11', { 'main.py': PYTHON }],
        ['nodejs20.x', { 'main.js': NODE }],
      ] as const) {
        const language = runtime.startsWith('python') ? 'Python' : 'Node';
        attackers.set(
          `${language} ${name}`,
          bench.define(`${language}-${name}`, files, {
            runtime,
            uid,
            gid: uid,
            memoryKb: 262144,
            pinned: true,
            accessSysfs: true,
            timeoutMs: 20_000,
            mounts: [
              { source: volume, destination: volume, readOnly: false },
              { source: readOnly, destination: '/ro', readOnly: true },
            ],
            devices: hasDevice && !(uid === 0 && isV2) ? [{ path: DEVICE, readOnly: true }] : [],
          }),
        );
      }
    }
    await bench.deploy(victim, ...attackers.values());
    const worker = await waitFor(() =>
      bench.functions.workers().find(({ FuncArn }) => FuncArn === victim.arn),
    );
    facts = {
      root: bench.folder,
      rootName: basename(bench.folder),
      hostPid: String(hostProcess.pid),
      victimPid: String(worker.ProcessId),
      socket,
      shmKey,
      shmFile,
      secret: SECRET,
      port: String(bench.ipc.port),
      victimArn: victim.arn,
      volume,
      hostDev: String(statSync('/dev').dev),
    };
  });

  afterAll(async () => {
    await bench.close();
    hostProcess.kill('SIGKILL');
    server.close();
    host(`libc.shmctl(libc.shmget(${shmKey}, 0, 0), 0, 0)`);
    for (const path of [volume, readOnly, shmFile]) rmSync(path, { recursive: true, force: true });
  });

  /** Runs a script on the host, as root. */
  function host(script: string): Outcome {
    const { stdout, stderr } = spawnSync('/usr/bin/python3', ['-c', printing(script)], { encoding: 'utf8' });
    return { gains: stdout.split('\n').filter((line) => line.startsWith('WON ')), why: stderr.slice(-500) };
  }

  function printing(script: string): string {
    return `def won(what): print('WON', ascii(what), flush=True)\n${PRELUDE}${script}`;
  }

  function filled(script: string): string {
    return script.replace(/\{\{(\w+)\}\}/g, (_, name: keyof AttackFacts) => facts[name]);
  }

  async function attack(who: string, event: object): Promise<Outcome> {
    const before = bench.published.length;
    bench.deliver(attackers.get(who) as DeployedFunction, 't', JSON.stringify(event));
    const { payload } = await waitFor(() => bench.published[before], {
      timeoutMs: 20_000,
      intervalMs: 2,
      what: `an answer; log: ${JSON.stringify(bench.entries.slice(-3))}`,
    });
    return JSON.parse(payload.toString('utf8')) as Outcome;
  }

  describe.each(['user', 'root'])('as %s', (name) => {
    const mine = ATTACKS.filter(({ ordinaryOnly }) => !ordinaryOnly || name !== 'root');

    it.each(mine)("in Python can't $what", async ({ script }) => {
      const outcome = await attack(`Python ${name}`, { script: filled(PRELUDE + script) });
      expect(outcome).toEqual({
        gains: [],
        why: expect.not.stringMatching(/NameError|SyntaxError|TypeError/),
      });
    });

    it.each(mine)("in Node, by a child process, can't $what", async ({ script }) => {
      const outcome = await attack(`Node ${name}`, { python: filled(printing(script)) });
      expect(outcome).toEqual({
        gains: [],
        why: expect.not.stringMatching(/NameError|SyntaxError|TypeError/),
      });
    });

    it.each(NODE_ATTACKS.filter(({ ordinaryOnly }) => !ordinaryOnly || name !== 'root'))(
      "in Node can't $what",
      async ({ script }) => {
        const outcome = await attack(`Node ${name}`, { script: filled(script) });
        expect(outcome).toEqual({ gains: [], why: expect.not.stringMatching(/Reference|Syntax|TypeError/) });
      },
    );
  });

  it.each(
    ATTACKS.filter(
      ({ inContainerOnly, script }) => !inContainerOnly && (hasDevice || !script.includes(DEVICE)),
    ),
  )('outside of a container root does $what: the test can fail', ({ script }) => {
    expect(host(filled(PRELUDE + script)).gains).not.toEqual([]);
  });

  it('has harmed nobody: victim and host process are there, their secrets are in no log', () => {
    expect(hostProcess.exitCode).toBe(null);
    const worker = bench.functions.workers().find(({ FuncArn }) => FuncArn === facts.victimArn);
    expect(String(worker?.ProcessId)).toBe(facts.victimPid);
    expect(JSON.stringify([bench.entries, bench.lines])).not.toContain(SECRET);
  });
});
