/**
 * `npm start`: the whole system on this machine, playing the journey of journey.ts, then showing messages until
 * Ctrl-C. `--once` ends after the last hop: 0 where every hop held, 1 where one did not. `--data DIR` keeps the files.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { type Journey, play } from './journey.js';
import { leftCgroups, leftoversOf } from './leftovers.js';
import { Started } from './started.js';

const startedAt = performance.now();

function print(hop: string, facts: string): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(5);
  process.stdout.write(`${seconds}s  ${hop.padEnd(15)} ${facts}\n`);
}

/** Containers, cgroups and the daemon's log folder need root. */
function checkRoot(): void {
  if (process.getuid?.() === 0) return;
  process.stderr.write(
    'npm start must run as root: the core makes containers and control groups for Lambda functions.\nTo mend it: sudo npm start\n',
  );
  process.exit(1);
}

function showMessages({ display, operator, cloud, root }: Journey, folder: string): void {
  process.stdout.write(`
The system runs. Ctrl-C stops it.
  API        ${cloud.info.api}   (aws --endpoint-url ${cloud.info.api} greengrass list-groups)
  keys       eval "$(npx gg env --ready-file ${cloud.readyFile})", in this folder, in another terminal
  logs       ${join(root, 'ggc/var/log')}
  data       ${folder}

`);
  for (const device of [display, operator]) {
    device.client.on('message', (topic, payload) =>
      print(`→ ${device.thingName}`, `${topic}  ${payload.toString('utf8').slice(0, 120)}`),
    );
  }
}

/** Keeps the devices talking; answers a function that ends it. */
function keepTalking({ sensor }: Journey): () => void {
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    sensor
      .publish('sensor/data', JSON.stringify({ temperature: 20 + (count % 5), count }))
      .catch(() => undefined);
    sensor.publish('hello/world/counter/trigger', '{}').catch(() => undefined);
  }, 3000);
  return () => clearInterval(timer);
}

function stopSignal(): Promise<void> {
  return new Promise((wake) => {
    process.once('SIGINT', () => wake());
    process.once('SIGTERM', () => wake());
  });
}

async function main(): Promise<void> {
  const options = new Command('npm start --')
    .option('--once', 'verify every hop, then end')
    .option('--data <dir>', 'keep the data in this folder')
    .parse()
    .opts<{ once?: boolean; data?: string }>();
  checkRoot();
  const folder = options.data ? resolve(options.data) : mkdtempSync(join(tmpdir(), 'greengrass-demo-'));
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  const stopped = stopSignal();
  const started = new Started();
  try {
    const journey = await Promise.race([play(folder, print, started), stopped.then(() => undefined)]);
    if (journey && !options.once) {
      showMessages(journey, folder);
      const silence = keepTalking(journey);
      await stopped;
      silence();
      process.stdout.write('\nStopping\n');
    }
  } catch (error) {
    throw new Error(`${(error as Error).message}\nThe logs and files of this run are in ${folder}`, {
      cause: error,
    });
  } finally {
    await started.end();
  }
  const left = [...leftoversOf(folder), ...leftCgroups(join(folder, 'greengrass'))];
  if (left.length > 0) throw new Error(`something was left behind:\n${left.join('\n')}`);
  print('stop', 'core and cloud stopped; no process, mount or cgroup is left');
  if (!options.data) rmSync(folder, { recursive: true, force: true });
}

main().catch((error: Error) => {
  process.stderr.write(`\nFAILED: ${error.message}\n`);
  process.exitCode = 1;
});
