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

const place = z.object({
  data: z
    .string()
    .min(1)
    .transform((path) => resolve(path))
    .optional(),
  databaseUrl: z.string().min(1).optional(),
});
const file = z
  .string()
  .min(1)
  .transform((path) => resolve(path));
const hasPlace = ({ data, databaseUrl }: { data?: unknown; databaseUrl?: unknown }) =>
  data !== undefined || databaseUrl !== undefined;
const NO_PLACE = 'name the store: --data DIR, or --database-url URL (or GREENGRASS_DATABASE_URL)';
const backupOptions = place.extend({ to: file }).refine(hasPlace, NO_PLACE);
const restoreOptions = place.extend({ from: file }).refine(hasPlace, NO_PLACE);

/** Where a process's environment may name the database, so that the password is in no list of processes. */
const DATA = ['--data <dir>', 'data folder; with --database-url only its master.key'] as const;
const DATABASE_URL = [
  '--database-url <url>',
  'PostgreSQL database: postgres://USER:PASSWORD@HOST:PORT/DATABASE',
] as const;

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
      const { data, databaseUrl, to } = check(backupOptions, withUrl(options), 'greengrass-cloud backup');
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
      const { data, databaseUrl, from } = check(restoreOptions, withUrl(options), 'greengrass-cloud restore');
      const manifest = await readDump(from, (schemaVersion, fill) =>
        databaseUrl === undefined
          ? intoDataFolder(data ?? '', schemaVersion, fill)
          : intoPostgres(postgres(databaseUrl, data), schemaVersion, fill),
      );
      print(`${from}: restored ${summaryOf(manifest)} of ${manifest.createdAt}`);
    });
}

/** The environment names the database where no option names a store. */
function withUrl(options: unknown): unknown {
  const { data, databaseUrl = process.env.GREENGRASS_DATABASE_URL } = options as Record<string, unknown>;
  return data === undefined || databaseUrl === undefined ? { ...(options as object), databaseUrl } : options;
}

function postgres(url: string, dataFolder?: string): { url: string; dataFolder?: string } {
  checkPostgresUrl(url);
  return { url, ...(dataFolder === undefined ? {} : { dataFolder }) };
}

function summaryOf({ tables, artifacts }: Manifest): string {
  const rows = Object.values(tables).reduce((sum, table) => sum + table.rows, 0);
  return `${rows} rows in ${Object.keys(tables).length} tables, ${artifacts.length} artifacts`;
}
