/** Where a command finds what the cloud keeps: a data folder, or a PostgreSQL database. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { z } from '../../lib/check.js';
import { type OpenedStore, openStore } from '../store/open-store.js';

/** Options of every command that works on a store. The environment may name the database: the URL holds a password. */
export const placeOptions = {
  data: z
    .string()
    .min(1)
    .transform((path) => resolve(path)),
  databaseUrl: z.string().min(1).optional(),
};

export function withPlace(command: Command): Command {
  return command
    .requiredOption('--data <dir>', 'data folder of the cloud')
    .option(
      '--database-url <url>',
      'PostgreSQL database, in place of SQLite in the data folder: postgres://USER:PASSWORD@HOST:PORT/DATABASE (or GREENGRASS_DATABASE_URL)',
    );
}

/** The database's URL, also where only the environment names it. */
export function databaseUrlOf({ databaseUrl }: { databaseUrl?: string | undefined }): {
  databaseUrl?: string;
} {
  const url = databaseUrl ?? process.env.GREENGRASS_DATABASE_URL;
  return url === undefined || url === '' ? {} : { databaseUrl: url };
}

/** Runs short work on the store, beside a cloud that may be running on it. */
export async function withStore<T>(
  options: { readonly data: string; readonly databaseUrl?: string | undefined },
  work: (store: OpenedStore['store']) => Promise<T>,
): Promise<T> {
  const { store } = await openStore({ dataFolder: options.data, ...databaseUrlOf(options), isBeside: true });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
