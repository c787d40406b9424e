/** Starts the brokers that are compared, each in a process of its own on the first processor. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../greengrass/dev/programs.js';
import { waitFor } from '../../support/wait-for.js';
import { type Fixture, mosquittoAcl, writeConfig } from './fixture.js';
import { onProcessor } from './processor.js';

export type BrokerName = 'greengrass' | 'mosquitto' | 'aedes';

export interface RunningBroker {
  readonly port: number;
  /** Seconds of processor that it has used. */
  cpuSeconds(): number;
  residentBytes(): number;
  stop(): Promise<void>;
}

const HERE = dirname(fileURLToPath(import.meta.url));
const MOSQUITTO = '/usr/sbin/mosquitto';

export const hasMosquitto = () => existsSync(MOSQUITTO);

export async function startBroker(name: BrokerName, fixture: Fixture): Promise<RunningBroker> {
  if (name === 'mosquitto') return startMosquitto(fixture);
  const child = spawn(
    'nice',
    [
      ...onProcessor(0),
      process.execPath,
      ...(process.env.NODE_ARGS?.split(' ').filter(Boolean) ?? []),
      join(HERE, `${name}-broker.js`),
      writeConfig(fixture),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return running(child, (JSON.parse(line) as { port: number }).port);
}

async function startMosquitto(fixture: Fixture): Promise<RunningBroker> {
  const { folder } = fixture;
  const port = await freePort();
  writeFileSync(join(folder, 'acl'), mosquittoAcl(fixture), { mode: 0o700 });
  const settings = [
    `listener ${port} 127.0.0.1`,
    'user root',
    'allow_anonymous false',
    'require_certificate true',
    'use_identity_as_username true',
    ...['cafile ca.pem', 'certfile server.pem', 'keyfile server.key'].map((line) => {
      const [key, file] = line.split(' ');
      return `${key} ${join(folder, file as string)}`;
    }),
    `acl_file ${join(folder, 'acl')}`,
    'set_tcp_nodelay true',
    // Nothing is to be dropped or held back by a limit that the others don't have.
    'max_inflight_messages 0',
    'max_queued_messages 0',
    'persistence false',
    'log_type error',
  ];
  const file = join(folder, 'mosquitto.conf');
  writeFileSync(file, `${settings.join('\n')}\n`);
  const child = spawn('nice', [...onProcessor(0), MOSQUITTO, '-c', file], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await waitFor(() => canConnect(port), { what: 'mosquitto listens' });
  return running(child, port);
}

function running(child: ChildProcess, port: number): RunningBroker {
  const pid = child.pid as number;
  return {
    port,
    cpuSeconds() {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    residentBytes() {
      return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
    },
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
