/** `greengrass-cloud backup` and `restore`: one file that holds everything, from and to either kind of database. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { check, z } from '../../lib/check.js';
import { VERSION } from '../../lib/package-root.js';
import { checkPostgresUrl } from '../../lib/postgres.js';
import { type Manifest, writeDump } from '../store/dump.js';
import { fromPostgres, intoPostgres } from '../store/dump-postgres.js';
import { fromDataFolder, intoDataFolder } from '../store/dump-sqlite.js';
import { readDump } from '../store/restore.js';
import { databaseUrlOf, placeOptions } from './place.js';

const place = { data: placeOptions.data.optional(), databaseUrl: placeOptions.databaseUrl };
const file = z
  .string()
  .min(1)
  .transform((path) => resolve(path));
const NO_PLACE = 'name the store: --data DIR, or --database-url URL (or GREENGRASS_DATABASE_URL)';
const hasPlace = (options: { data?: string | undefined; databaseUrl?: string | undefined }) =>
  options.data !== undefined || databaseUrlOf(options).databaseUrl !== undefined;
const backupOptions = z.object({ ...place, to: file }).refine(hasPlace, NO_PLACE);
const restoreOptions = z.object({ ...place, from: file }).refine(hasPlace, NO_PLACE);

/** A backup needs no data folder where there is a database and no master.key. */
const DATA = ['--data <dir>', 'data folder of the cloud; with a database only its master.key'] as const;
const DATABASE_URL = ['--database-url <url>', 'as of start (or GREENGRASS_DATABASE_URL)'] as const;

type Print = (line: string) => void;
const toStdout: Print = (line) => void process.stdout.write(`${line}\n`);

export function backupCommand(program: Command, print = toStdout): void {
  program
    .command('backup')
    .description('writes everything the cloud keeps into one file; the cloud may run meanwhile')
    .option(...DATA)
    .option(...DATABASE_URL)
    .requiredOption('--to <file>', 'the backup; it holds private keys')
    .action(async (options: unknown) => {
      const checked = check(backupOptions, options, 'greengrass-cloud backup');
      const { data, to } = checked;
      const { databaseUrl } = databaseUrlOf(checked);
      const write = (source: Parameters<typeof writeDump>[0]) => writeDump(source, to, VERSION);
      const manifest =
        databaseUrl === undefined
          ? await fromDataFolder(data ?? '', write)
          : await fromPostgres(postgres(databaseUrl, data), write);
      print(`${to}: ${summaryOf(manifest)}`);
    });
}

export function restoreCommand(program: Command, print = toStdout): void {
  program
    .command('restore')
    .description('puts a backup into an empty data folder or database: all of it or nothing')
    .option(...DATA)
    .option(...DATABASE_URL)
    .requiredOption('--from <file>', 'the backup')
    .action(async (options: unknown) => {
      const checked = check(restoreOptions, options, 'greengrass-cloud restore');
      const { data, from } = checked;
      const { databaseUrl } = databaseUrlOf(checked);
      const manifest = await readDump(from, (schemaVersion, fill) =>
        databaseUrl === undefined
          ? intoDataFolder(data ?? '', schemaVersion, fill)
          : intoPostgres(postgres(databaseUrl, data), schemaVersion, fill),
      );
      print(`${from}: restored ${summaryOf(manifest)} of ${manifest.createdAt}`);
    });
}

function postgres(url: string, dataFolder?: string): { url: string; dataFolder?: string } {
  checkPostgresUrl(url);
  return { url, ...(dataFolder === undefined ? {} : { dataFolder }) };
}

function summaryOf({ tables, artifacts }: Manifest): string {
  const rows = Object.values(tables).reduce((sum, table) => sum + table.rows, 0);
  return `${rows} rows in ${Object.keys(tables).length} tables, ${artifacts.length} artifacts`;
}
