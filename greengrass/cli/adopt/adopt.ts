/** `gg adopt`, `gg unadopt`: a V1 core and its devices move to a greengrass-cloud with what is on the core's disk. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCoreConfig } from '../../model/core-config.js';
import type { Connection } from '../bootstrap.js';
import type { Clients } from '../clients.js';
import { type AdoptedGroup, createAdopted } from './create.js';
import {
  adoptionState,
  changeFiles,
  checkWritable,
  configChanges,
  configTextBefore,
  restoreFiles,
  type Setting,
} from './files.js';
import { readV1Disk } from './v1-disk.js';

export interface AdoptOptions extends Connection {
  readonly root: string;
  readonly groupName?: string;
  /** Without it nothing is changed, neither in the cloud nor on the core. */
  readonly apply: boolean;
}

export interface Adoption {
  readonly groupName: string;
  readonly account: string;
  readonly region: string;
  readonly core: string;
  readonly devices: readonly string[];
  readonly functions: readonly string[];
  readonly subscriptions: number;
  readonly leftOut: readonly string[];
  readonly warnings: readonly string[];
  readonly coreSettings: readonly Setting[];
  readonly made?: AdoptedGroup;
}

/** `clients` are asked for only where something is made. */
export async function adopt(clients: () => Promise<Clients>, options: AdoptOptions): Promise<Adoption> {
  const { root } = options;
  if (options.apply && existsSync(join(root, 'config', 'config.json'))) refuseWhileRunning(root);
  goOnFrom(root, options.apply);
  const disk = await readV1Disk(root);
  const { config, group, functions, leftOut, warnings } = disk;
  const groupName = options.groupName ?? `${config.thingName}-group`;
  const adoption: Adoption = {
    groupName,
    account: config.accountId,
    region: config.region,
    core: config.thingArn,
    devices: group.Devices.map(({ thingArn }) => thingArn),
    functions: functions.map(({ arn }) => arn),
    subscriptions: group.GroupDefinitions.Subscriptions.Content.length,
    leftOut,
    warnings,
    coreSettings: configChanges(disk, options),
  };
  if (!options.apply) return adoption;
  checkWritable(disk);
  const made = await createAdopted(await clients(), disk, groupName);
  changeFiles(disk, options);
  return { ...adoption, made };
}

export function unadopt(root: string): string[] {
  refuseWhileRunning(root);
  return restoreFiles(root);
}

/** An adoption, or its way back, that was cut off is undone first; the next one begins anew. */
function goOnFrom(root: string, apply: boolean): void {
  const state = existsSync(join(root, 'config', 'config.json')) ? adoptionState(root) : 'none';
  if (state === 'none') return;
  if (state === 'adopted') {
    throw new Error(
      `${root} was adopted already. gg unadopt --root ${root} puts the old files back; nothing was changed.`,
    );
  }
  if (!apply) {
    throw new Error(
      `an adoption of ${root}, or its way back, was broken off. Run gg adopt --apply again, or gg unadopt --root ${root}; nothing was changed.`,
    );
  }
  restoreFiles(root);
}

/** A daemon, V1's or ours, that runs would go on with the old settings and write over the files. */
function refuseWhileRunning(root: string): void {
  const { config } = parseCoreConfig(configTextBefore(root), {
    root,
    file: join(root, 'config', 'config.json'),
  });
  const file = join(config.pidFileDirectory, 'greengrassd.pid');
  if (!existsSync(file)) return;
  const pid = readFileSync(file, 'utf8').trim();
  if (/^\d+$/.test(pid) && existsSync(`/proc/${pid}`)) {
    throw new Error(
      `greengrassd runs (PID ${pid}, ${file}): stop it first (greengrassd stop) and run this again for ${root}`,
    );
  }
}

/** For people. */
export function adoptionText(
  adoption: Adoption,
  { iotHost, ggHost, mqttPort, httpsPort }: Connection,
): string {
  const {
    groupName,
    core,
    devices,
    functions,
    subscriptions,
    leftOut,
    warnings,
    coreSettings,
    made,
    account,
    region,
  } = adoption;
  const done = made !== undefined;
  return [
    done
      ? `Group ${groupName} (${made.groupId}) was made; deployment ${made.deploymentId} waits for the core.`
      : `Dry run: nothing was changed. With --apply, group ${groupName} is made in region ${region}, account ${account}:`,
    `  core ${core}`,
    ...devices.map((arn) => `  device ${arn} (by the fingerprint of its certificate)`),
    ...functions.map((arn) => `  function ${arn}`),
    `  ${subscriptions} subscription(s)`,
    ...leftOut.map((what) => `  NOT adopted: ${what}`),
    ...warnings.map((what) => `  NOTE: ${what}`),
    '',
    done ? 'Changed in config.json of the core:' : 'To change in config.json of the core:',
    ...coreSettings.map(({ member, from, to }) => `  ${member}: ${from} → ${to}`),
    '',
    'To change on each device, which keeps its key and its certificate:',
    `  endpoint of discovery: ${ggHost}:${httpsPort}`,
    `  endpoint of MQTT in the cloud: ${iotHost}:${mqttPort}`,
    '  root CA: the one of the cloud (--ca-file); the group CA is new, discovery gives it',
    ...(done ? ['', 'Next: greengrassd start. Back: greengrassd stop, then gg unadopt.'] : []),
  ].join('\n');
}
