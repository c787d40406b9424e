/** A cloud that is killed without warning: what a PUBACK promised is kept. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab } from './lab.js';
import { RawClient } from './raw-client.js';

const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'broker-process.js');

describe('a cloud that is killed', () => {
  let lab: Lab;
  const children: ChildProcess[] = [];
  beforeAll(async () => {
    lab = await Lab.open();
  });
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await lab.openStore();
    await lab.close();
  });

  async function spawnBroker(): Promise<{ port: number; kill: () => Promise<void> }> {
    const files = { certificate: `${lab.databasePath}.crt`, key: `${lab.databasePath}.key` };
    writeFileSync(files.certificate, lab.server.certificatePem);
    writeFileSync(files.key, lab.server.privateKeyPem, { mode: 0o600 });
    const child = spawn(process.execPath, [SCRIPT, lab.databasePath, files.certificate, files.key], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.push(child);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const kill = async () => {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    };
    return { port: Number(line.toString()), kill };
  }

  it('brings every message that was acknowledged, and marks what was sent before', async () => {
    const identity = await lab.identity('survivor');
    await lab.store.close();
    const first = await spawnBroker();
    const target = (port: number) => ({ ...lab.target(identity), port });
    const { client: listener } = await RawClient.connect(target(first.port), 'listener', { clean: false });
    await listener.subscribe({ 'news/#': 1 });
    const { client: speaker } = await RawClient.connect(target(first.port), 'speaker');
    await speaker.publish('news/1', 'seen and acknowledged');
    await listener.message();
    await speaker.publish('news/2', 'seen only');
    const seen = await listener.message(false);
    await listener.drop();
    const acknowledged: string[] = [];
    for (let index = 0; index < 50; index++) {
      await speaker.publish('news/3', `away ${index}`);
      acknowledged.push(`away ${index}`);
    }
    await speaker.publish('kept', 'retained', { retain: true });
    await first.kill();

    const second = await spawnBroker();
    const { client: again, connack } = await RawClient.connect(target(second.port), 'listener', {
      clean: false,
    });
    expect(connack.sessionPresent).toBe(true);
    const repeated = await again.message();
    expect(repeated).toMatchObject({ messageId: seen.messageId, dup: true });
    expect(repeated.payload.toString()).toBe('seen only');
    for (const text of acknowledged) expect((await again.message()).payload.toString()).toBe(text);
    await again.subscribe({ kept: 1 });
    expect(await again.message()).toMatchObject({ topic: 'kept', retain: true });
    await second.kill();
  });
});
