/**
 * What costs every test much processor time and is never what it tests: RSA keys and the first start of a cloud. They
 * are made once for all suites of `npm test`, which removes them; jest by itself keeps them in a folder of its user.
 */
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudService } from '../../greengrass/cloud/service.js';
import { MIGRATIONS } from '../../greengrass/cloud/store/schema.js';
import { writeFileAtomic } from '../../greengrass/lib/atomic-file.js';
import { checkJson, z } from '../../greengrass/lib/check.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { type CertifiedKey, createKeyPair, createSelfSigned } from '../../greengrass/lib/x509.js';

const keyFile = z.object({ privateKeyPem: z.string(), publicKeyPem: z.string() });
export type KeyPair = z.output<typeof keyFile>;

let taken = 0;

/** A key pair that this suite has not had yet; other suites have the same ones. */
export async function readyKeyPair(): Promise<KeyPair> {
  const file = join(shelf(), `key-${taken++}.json`);
  if (existsSync(file)) return checkJson(keyFile, readFileSync(file, 'utf8'), file);
  const made = await createKeyPair();
  writeFileAtomic(file, JSON.stringify(made), 0o600);
  return made;
}

/** `createSelfSigned` with a key of `readyKeyPair`. */
export async function readySelfSigned(fields: Parameters<typeof createSelfSigned>[0]): Promise<CertifiedKey> {
  return createSelfSigned(fields, await readyKeyPair());
}

/**
 * Puts the data of a cloud that was started once into `dataFolder`, which must not exist or be empty. All that have it
 * share account, CAs and access key; a test of two clouds leaves one of them to make its own.
 */
export async function giveInstallation(dataFolder: string): Promise<void> {
  // Other tables are another installation.
  const ready = join(shelf(), `installation-${MIGRATIONS.length}`);
  if (!existsSync(ready)) await makeInstallation(ready);
  cpSync(ready, dataFolder, { recursive: true });
}

async function makeInstallation(place: string): Promise<void> {
  const folder = mkdtempSync(join(shelf(), 'making-'));
  const cloud = new CloudService({
    ...{ dataFolder: folder, host: '127.0.0.1', auth: 'sigv4', region: 'us-east-1', log: silentLogger() },
    ...{ apiPort: 0, mqttPort: 0, httpsPort: 0 },
  });
  await cloud.start();
  await cloud.stop();
  try {
    renameSync(folder, place);
  } catch {
    // Another suite was faster.
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The folder, which others can't read. */
function shelf(): string {
  const folder =
    process.env.GREENGRASS_READY_MADE ?? join(tmpdir(), `greengrass-ready-made-${process.getuid?.() ?? 0}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(folder);
  if (uid !== (process.getuid?.() ?? uid) || (mode & 0o077) !== 0) {
    throw new Error(`${folder} is not ours alone: it must belong to this user with mode 0700; remove it`);
  }
  return folder;
}
