/**
 * The core's own files when it is adopted: config.json gets other hosts and another CA; what is about to change is kept
 * in `<root>/adopted-from-v1`, from which it is put back.
 */
import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { removeHalfWritten, syncFolder, writeFileAtomic } from '../../lib/atomic-file.js';
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

/** What an adoption has left of itself on the core: nothing, all of it, or a part, because it or its way back was cut off. */
export function adoptionState(root: string): 'none' | 'adopted' | 'broken off' {
  const folder = join(root, BACKUP);
  if (!existsSync(join(folder, DONE))) return 'none';
  // config.json is the last that changes, on both ways.
  const now = readFileSync(configFileOf(root), 'utf8');
  return now === readFileSync(join(folder, 'config.json'), 'utf8') ? 'broken off' : 'adopted';
}

/** Throws where a file could not be written, before anything is made in the cloud. */
export function checkWritable({ root, config, configFile }: V1Disk): void {
  const deployment = join(config.writeDirectory, 'deployment');
  const places = [root, dirname(realpathSync(configFile)), join(root, 'certs'), join(deployment, 'group')];
  for (const place of [...places, dirname(realpathSync(deployment))]) {
    try {
      accessSync(place, constants.W_OK);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new Error(
        `${place} can't be written to (${code}): gg adopt changes config.json, certs and the group there, and keeps what was. Run it as root, on a disk that is not read-only; nothing was changed.`,
        { cause: error },
      );
    }
  }
}

/** Backs up, then writes the new config.json, which is the last, and the CA. */
export function changeFiles(disk: V1Disk, connection: Connection): void {
  const { root, configFile, configText, config } = disk;
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
  backUp(disk);
  writeFileAtomic(join(root, 'certs', CA_FILE), readFileSync(connection.caFile), 0o644);
  // V1's group is not run once more: the deployment that waits brings the same one, made for this core.
  writeFileAtomic(groupFileOf(config.writeDirectory), '{}', 0o600);
  writeFileAtomic(realpathSync(configFile), next, 0o600);
}

/** Folders may be links to another disk: it is their content that is kept, not the link. */
function backUp({ root, configText, config }: V1Disk): void {
  const folder = join(root, BACKUP);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileAtomic(join(folder, 'config.json'), configText, 0o600);
  writeFileAtomic(join(folder, 'group.json'), readFileSync(groupFileOf(config.writeDirectory)), 0o600);
  copyTree(realpathSync(join(config.writeDirectory, 'deployment')), join(folder, 'deployment'));
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
  const place = join(writeDirectory, 'deployment');
  const deployment = existsSync(place) ? realpathSync(place) : place;
  // Beside it first, so that a cut in between leaves one of the two.
  const fresh = `${deployment}.unadopted`;
  rmSync(fresh, { recursive: true, force: true });
  copyTree(join(folder, 'deployment'), fresh);
  rmSync(deployment, { recursive: true, force: true });
  renameSync(fresh, deployment);
  writeFileAtomic(groupFileOf(writeDirectory), readFileSync(join(folder, 'group.json')), 0o600);
  rmSync(join(root, 'certs', CA_FILE), { force: true });
  writeFileAtomic(configFileOf(root), readFileSync(join(folder, 'config.json')), 0o600);
  // An adoption that was killed, or a way back, may have left half of a file beside it.
  const written = [
    join(root, 'certs', CA_FILE),
    realpathSync(configFileOf(root)),
    groupFileOf(writeDirectory),
  ];
  for (const file of written) removeHalfWritten(file);
  // First the mark: half of a backup must never be put back.
  rmSync(join(folder, DONE), { force: true });
  syncFolder(folder);
  rmSync(folder, { recursive: true, force: true });
  return [join(root, 'config', 'config.json'), place];
}

/** config.json of before the adoption, where there is one: that of now may be beyond reading. */
export function configTextBefore(root: string): string {
  const kept = join(root, BACKUP, 'config.json');
  const file = existsSync(kept) ? kept : join(root, 'config', 'config.json');
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(
      `${file} can't be read (${code}): it is the configuration of the core: is --root right?`,
      {
        cause: error,
      },
    );
  }
}

function copyTree(from: string, to: string): void {
  cpSync(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
}

function configFileOf(root: string): string {
  return realpathSync(join(root, 'config', 'config.json'));
}

/** Where the file lies, or will lie. */
function groupFileOf(writeDirectory: string): string {
  const file = join(writeDirectory, 'deployment', 'group', 'group.json');
  return existsSync(file) ? realpathSync(file) : file;
}
