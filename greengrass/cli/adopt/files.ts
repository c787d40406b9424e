/**
 * The core's own files when it is adopted: config.json gets other hosts and another CA; what is about to change is kept
 * in `<root>/adopted-from-v1`, from which it is put back.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { checkJson, z } from '../../lib/check.js';
import { parseCoreConfig } from '../../model/core-config.js';
import type { Connection } from '../bootstrap.js';
import type { V1Disk } from './v1-disk.js';

const BACKUP = 'adopted-from-v1';
const CA_FILE = 'greengrass-cloud.ca.pem';
/** Written last: without it a backup is not complete. */
const DONE = 'complete';

export interface Setting {
  readonly member: string;
  readonly from: string;
  readonly to: string;
}

/** What changes in config.json. */
export function configChanges(disk: V1Disk, { iotHost, ggHost, mqttPort, httpsPort }: Connection): Setting[] {
  const { config, root } = disk;
  const change = (member: string, from: string | number, to: string | number): Setting[] =>
    from === to ? [] : [{ member, from: String(from), to: String(to) }];
  return [
    ...change('coreThing.iotHost', config.iotHost, iotHost),
    ...change('coreThing.ggHost', config.ggHost, ggHost),
    ...change('coreThing.iotMqttPort', config.iotMqttPort, mqttPort),
    ...change('coreThing.ggHttpPort', config.ggHttpPort, httpsPort),
    ...change(
      usesCrypto(disk) ? 'crypto.caPath' : 'coreThing.caPath',
      config.caPath,
      join(root, 'certs', CA_FILE),
    ),
  ];
}

function usesCrypto({ configText }: V1Disk): boolean {
  return 'crypto' in (JSON.parse(configText) as object);
}

/** Backs up, then writes the new config.json and the CA. Throws where there is a backup already. */
export function changeFiles(disk: V1Disk, connection: Connection): void {
  const { root, configFile, configText, config } = disk;
  backUp(disk);
  writeFileAtomic(join(root, 'certs', CA_FILE), readFileSync(connection.caFile), 0o644);
  const text = JSON.parse(configText) as {
    coreThing: Record<string, unknown>;
    crypto?: Record<string, unknown>;
  };
  const coreThing = {
    ...text.coreThing,
    iotHost: connection.iotHost,
    ggHost: connection.ggHost,
    iotMqttPort: connection.mqttPort,
    ggHttpPort: connection.httpsPort,
    ...('caPath' in text.coreThing || !text.crypto ? { caPath: CA_FILE } : {}),
  };
  const crypto = text.crypto && { ...text.crypto, caPath: `file://${join(root, 'certs', CA_FILE)}` };
  const next = `${JSON.stringify({ ...text, coreThing, ...(crypto ? { crypto } : {}) }, null, 2)}\n`;
  // Read as the core will read it, before anything is replaced.
  parseCoreConfig(next, { root, file: configFile });
  // V1's group is not run once more: the deployment that waits brings the same one, made for this core.
  writeFileAtomic(join(config.writeDirectory, 'deployment', 'group', 'group.json'), '{}', 0o600);
  writeFileAtomic(configFile, next, 0o600);
}

function backUp({ root, configText, config }: V1Disk): void {
  const folder = join(root, BACKUP);
  if (existsSync(join(folder, DONE))) {
    throw new Error(
      `${folder} is there already: this core was adopted. gg unadopt --root ${root} puts the old files back.`,
    );
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileAtomic(join(folder, 'config.json'), configText, 0o600);
  cpSync(join(config.writeDirectory, 'deployment'), join(folder, 'deployment'), {
    recursive: true,
    preserveTimestamps: true,
    verbatimSymlinks: true,
  });
  const note = { writeDirectory: config.writeDirectory, adoptedAt: new Date().toISOString() };
  writeFileAtomic(join(folder, DONE), JSON.stringify(note), 0o600);
}

/** Puts config.json and the deployment folder back as they were. Answers what was put back. Throws without a backup. */
export function restoreFiles(root: string): string[] {
  const folder = join(root, BACKUP);
  const note = z.object({ writeDirectory: z.string() });
  let text: string;
  try {
    text = readFileSync(join(folder, DONE), 'utf8');
  } catch (error) {
    throw new Error(`there is no backup at ${folder}: was this core adopted with gg adopt --apply?`, {
      cause: error,
    });
  }
  const { writeDirectory } = checkJson(note, text, join(folder, DONE));
  const deployment = join(writeDirectory, 'deployment');
  // Beside it first, so that a cut in between leaves one of the two.
  const fresh = `${deployment}.unadopted`;
  rmSync(fresh, { recursive: true, force: true });
  cpSync(join(folder, 'deployment'), fresh, {
    recursive: true,
    preserveTimestamps: true,
    verbatimSymlinks: true,
  });
  rmSync(deployment, { recursive: true, force: true });
  renameSync(fresh, deployment);
  writeFileAtomic(join(root, 'config', 'config.json'), readFileSync(join(folder, 'config.json')), 0o600);
  rmSync(join(root, 'certs', CA_FILE), { force: true });
  rmSync(folder, { recursive: true, force: true });
  return [join(root, 'config', 'config.json'), deployment];
}
