/**
 * A PostgreSQL server of the tests' own: in a temporary folder, on a free port, gone afterwards. Where there is no
 * PostgreSQL, `describeWithPostgres` skips.
 */
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../greengrass/dev/programs.js';
import { connect } from '../../greengrass/lib/postgres.js';
import { type ChildProcess, run, start, waitForExit } from '../../greengrass/lib/subprocess.js';
import { waitFor } from './wait-for.js';

const DEBIAN = '/usr/lib/postgresql';
const BIN = [
  ...(existsSync(DEBIAN) ? readdirSync(DEBIAN).map((version) => join(DEBIAN, version, 'bin')) : []),
  '/usr/local/bin',
  '/usr/bin',
].find((folder) => existsSync(join(folder, 'initdb')));

/** PostgreSQL refuses to run as root: there, it runs as nobody. */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

export const hasPostgres = BIN !== undefined;

/** Skips where there is no PostgreSQL, and says so. */
export function describeWithPostgres(name: string, tests: () => void): void {
  if (hasPostgres) describe(name, tests);
  else describe.skip(`${name} (no PostgreSQL: apt-get install postgresql)`, tests);
}

export class PostgresServer {
  #process: ChildProcess | undefined;
  #databases = 0;

  private constructor(
    readonly folder: string,
    readonly port: number,
    readonly isDurable: boolean,
  ) {}

  /** `isDurable`: commits reach the disk, as in production; tests don't pull the plug. */
  static async create({ isDurable = false } = {}): Promise<PostgresServer> {
    const folder = mkdtempSync(join(tmpdir(), 'gg-postgres-'));
    if (isRoot) chownSync(folder, NOBODY, NOBODY);
    const server = new PostgresServer(folder, await freePort(), isDurable);
    // A locale that orders words otherwise than bytes: the store must not depend on it.
    const made = await run('/usr/bin/env', [
      ...server.#unprivileged(),
      ...[join(BIN ?? '', 'initdb'), '-D', join(folder, 'data'), '-U', 'gg', '-A', 'trust'],
      ...['-N', '-E', 'UTF8', '--locale=C.UTF-8', '--locale-provider=icu', '--icu-locale=en-US'],
    ]);
    if (made.code !== 0) throw new Error(`initdb failed: ${made.stderr}`);
    await server.start();
    return server;
  }

  #unprivileged(): string[] {
    return isRoot ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : [];
  }

  /** The address of `database`, which need not exist. */
  url(database = 'postgres'): string {
    return `postgres://gg:secret-of-tests@127.0.0.1:${this.port}/${database}`;
  }

  async start(): Promise<void> {
    const data = join(this.folder, 'data');
    const options = [
      `port=${this.port}`,
      'listen_addresses=127.0.0.1',
      `unix_socket_directories=${this.folder}`,
    ];
    options.push(`fsync=${this.isDurable ? 'on' : 'off'}`, 'max_connections=200');
    const args = options.flatMap((option) => ['-c', option]);
    const [file = '', ...rest] = [...this.#unprivileged(), join(BIN ?? '', 'postgres'), '-D', data, ...args];
    this.#process = await start(file, rest, { stdio: 'ignore', cwd: this.folder });
    await waitFor(async () => (await connect(this.url())).end().then(() => true), {
      what: 'PostgreSQL is up',
    });
  }

  /** Ends the server; its connections break as with a power cut (`SIGQUIT`) or are told (`SIGINT`). */
  async stop(signal: 'SIGINT' | 'SIGQUIT' = 'SIGQUIT'): Promise<void> {
    if (!this.#process) return;
    const ended = waitForExit(this.#process);
    this.#process.kill(signal);
    await ended;
    this.#process = undefined;
  }

  /** Stops the server and removes everything. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A new empty database; answers its URL. */
  async createDatabase(): Promise<string> {
    const name = `test${++this.#databases}`;
    await this.query(`CREATE DATABASE ${name}`);
    return this.url(name);
  }

  /** Runs one statement on `url` as the owner. */
  async query(sql: string, url = this.url()): Promise<Array<Record<string, unknown>>> {
    const client = await connect(url);
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }
}
