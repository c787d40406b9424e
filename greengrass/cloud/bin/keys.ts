/** `greengrass-cloud key`: the access keys that sign requests to this cloud. A running cloud sees changes at once. */
import { randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { check, z } from '../../lib/check.js';
import { newAccessKey } from '../store/installation.js';
import type { AccessKey, Store } from '../store/store.js';
import { placeOptions, withPlace, withStore } from './place.js';

const common = z.object(placeOptions);
const creation = common.extend({ description: z.string().max(256).default('') });

export function keyCommand(program: Command): void {
  const key = program.command('key').description('access keys that sign requests to this cloud');
  withPlace(key.command('create'))
    .description('makes a key and prints it, as JSON; the secret is not shown again')
    .option('--description <text>', 'whose it is, what for')
    .action(async (given: unknown) => {
      const options = check(creation, given, 'greengrass-cloud key create');
      const made: AccessKey = { ...newAccessKey(), description: options.description };
      await withStore(options, async (store) => {
        await store.settings.addAccessKey(made);
        await note(store, 'CreateAccessKey', made.accessKeyId);
      });
      print(made);
    });
  withPlace(key.command('list'))
    .description('prints all keys without their secrets, as JSON')
    .action(async (given: unknown) => {
      const options = check(common, given, 'greengrass-cloud key list');
      const keys = await withStore(options, (store) => store.settings.accessKeys());
      print(keys.map(({ secretAccessKey: _secret, ...shown }) => shown));
    });
  const change = (
    name: string,
    operation: string,
    description: string,
    work: (store: Parameters<Parameters<typeof withStore>[1]>[0], id: string) => Promise<boolean>,
  ) =>
    withPlace(key.command(`${name} <accessKeyId>`))
      .description(description)
      .action(async (id: string, given: unknown) => {
        const options = check(common, given, `greengrass-cloud key ${name}`);
        const isFound = await withStore(options, async (store) => {
          const isDone = await work(store, id);
          if (isDone) await note(store, operation, id);
          return isDone;
        });
        if (!isFound) throw new Error(`there is no access key ${id}: greengrass-cloud key list shows them`);
      });
  change(
    'deactivate',
    'DeactivateAccessKey',
    'requests signed with the key are refused from now on',
    ({ settings }, id) => settings.setAccessKeyStatus(id, 'Inactive'),
  );
  change('activate', 'ActivateAccessKey', 'the key is good again', ({ settings }, id) =>
    settings.setAccessKeyStatus(id, 'Active'),
  );
  change('delete', 'DeleteAccessKey', 'the key is gone for good', ({ settings }, id) =>
    settings.deleteAccessKey(id),
  );
}

/** Who may run this command has the data folder: an operator of the machine, whose name the system knows. */
async function note(store: Store, operation: string, accessKeyId: string): Promise<void> {
  await store.audit.add({
    ...{ at: new Date().toISOString(), requestId: randomUUID(), principal: `local:${userInfo().username}` },
    ...{ accessKeyId: '-', remoteAddress: '-', service: 'greengrass-cloud', operation },
    ...{ resource: accessKeyId, status: 200 },
  });
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}
