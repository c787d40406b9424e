/** gg's verbs for cores that were V1's. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Connection } from '../bootstrap.js';
import type { Clients } from '../clients.js';
import type { ConnectOptions } from '../connect.js';

interface Options extends ConnectOptions {
  readonly json?: boolean;
  readonly root: string;
  readonly groupName?: string;
  readonly apply?: boolean;
}

export interface AdoptTools {
  /** Adds the options that say where the cloud is, for a device. */
  readonly withConnection: (command: Command) => Command;
  readonly connect: (options: Options) => Promise<Clients>;
  readonly connection: (options: Options) => Promise<Connection>;
  readonly tell: (options: Options, line: string, facts: object) => void;
}

export function addAdopt(gg: Command, { withConnection, connect, connection, tell }: AdoptTools): void {
  withConnection(gg.command('adopt'))
    .description('move a V1 core to this cloud with what is on its disk; a dry run without --apply')
    .requiredOption('--root <dir>', 'the greengrass root of the V1 core')
    .option('--group-name <name>', 'name of the group to make (default: <core>-group)')
    .option('--apply', 'do it: make everything in the cloud, deploy, change config.json')
    .action(async (options: Options) => {
      const { adopt, adoptionText } = await import('./adopt.js');
      const place = await connection(options);
      const { groupName } = options;
      const adoption = await adopt(() => connect(options), {
        ...place,
        root: resolve(options.root),
        ...(groupName === undefined ? {} : { groupName }),
        apply: options.apply === true,
      });
      tell(options, adoptionText(adoption, place), adoption);
    });
  gg.command('unadopt')
    .description('put back the files of a V1 core that was adopted')
    .requiredOption('--root <dir>', 'its greengrass root')
    .option('--json', 'print facts as JSON')
    .action(async (options: Options) => {
      const { unadopt } = await import('./adopt.js');
      const restored = unadopt(resolve(options.root));
      tell(options, `Put back:\n${restored.map((file) => `  ${file}`).join('\n')}`, { restored });
    });
}
