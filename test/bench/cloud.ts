/**
 * What the cloud's API costs, on SQLite and (where it is installed) PostgreSQL, beside a bare express route that only
 * checks the signature; the time to list 10,000 groups page by page. `npm run bench -- cloud`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CreateCoreDefinitionCommand,
  CreateFunctionDefinitionCommand,
  CreateGroupCommand,
  ListGroupsCommand,
} from '@aws-sdk/client-greengrass';
import { CreateKeysAndCertificateCommand, CreateThingCommand } from '@aws-sdk/client-iot';
import { type Clients, createClients } from '../../greengrass/cli/index.js';
import { type CloudInfo, startCloud } from '../../greengrass/dev/programs.js';
import { start, stop } from '../../greengrass/lib/subprocess.js';
import { hasPostgres, PostgresServer } from '../support/postgres.js';
import { type Load, type LoadResult, load } from './http-load.js';
import type { Figure } from './run.js';

const ROUNDS = 5;
const CONNECTIONS = 16;
const GROUPS = 10_000;

interface Target {
  readonly name: string;
  readonly info: Pick<CloudInfo, 'accessKeyId' | 'secretAccessKey' | 'region' | 'api'>;
}

interface Request {
  readonly name: string;
  readonly method: string;
  /** One for each connection: a fleet's scripts work on many groups. */
  readonly targets: ReadonlyArray<{ readonly path: string; readonly body?: string }>;
  readonly requests: number;
}

const FUNCTION = {
  Id: 'f',
  FunctionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f:1',
  FunctionConfiguration: {
    MemorySize: 16384,
    Timeout: 3,
    Pinned: true,
    Environment: { Variables: { INTERVAL: '5' } },
  },
};

/** Makes groups that can be deployed, and function definitions; answers the requests to measure. */
async function prepare(info: CloudInfo): Promise<Request[]> {
  const clients = createClients({ endpoint: info.api, ...info });
  try {
    const groups = await Promise.all(
      Array.from({ length: CONNECTIONS }, (_, index) => prepareGroup(clients, `bench-${index}`)),
    );
    return [
      {
        ...{ name: 'GetGroup', method: 'GET', requests: 6000 },
        targets: groups.map(({ groupId }) => ({ path: `/greengrass/groups/${groupId}` })),
      },
      {
        ...{ name: 'CreateFunctionDefinitionVersion', method: 'POST', requests: 3000 },
        targets: groups.map(({ definitionId }) => ({
          path: `/greengrass/definition/functions/${definitionId}/versions`,
          body: JSON.stringify({ Functions: [FUNCTION] }),
        })),
      },
      {
        ...{ name: 'CreateDeployment', method: 'POST', requests: 1000 },
        targets: groups.map(({ groupId, versionId }) => ({
          path: `/greengrass/groups/${groupId}/deployments`,
          body: JSON.stringify({ DeploymentType: 'NewDeployment', GroupVersionId: versionId }),
        })),
      },
    ];
  } finally {
    clients.destroy();
  }
}

async function prepareGroup({ greengrass, iot }: Clients, name: string) {
  const thing = await iot.send(new CreateThingCommand({ thingName: name }));
  const keys = await iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
  const Core = { Id: 'core', ThingArn: thing.thingArn, CertificateArn: keys.certificateArn };
  const cores = await greengrass.send(new CreateCoreDefinitionCommand({ InitialVersion: { Cores: [Core] } }));
  const group = await greengrass.send(
    new CreateGroupCommand({
      Name: name,
      InitialVersion: { CoreDefinitionVersionArn: cores.LatestVersionArn ?? '' },
    }),
  );
  const functions = await greengrass.send(new CreateFunctionDefinitionCommand({ Name: name }));
  return { groupId: group.Id, versionId: group.LatestVersion, definitionId: functions.Id };
}

async function measure({ name, info }: Target, requests: readonly Request[]): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { name: operation, method, targets, requests: count } of requests) {
    const options: Load = {
      url: new URL(info.api),
      service: 'greengrass',
      targets,
      ...{ method, requests: count, accessKeyId: info.accessKeyId },
      ...{ secretAccessKey: info.secretAccessKey, region: info.region },
    };
    await load({ ...options, requests: Math.ceil(count / 5) });
    const rounds: LoadResult[] = [];
    for (let round = 0; round < ROUNDS; round++) rounds.push(await load(options));
    figures.push(
      { name: `${operation}, ${name}`, unit: 'requests/s', value: median(rounds, 'perSecond'), runs: ROUNDS },
      { name: `${operation}, ${name}: p99`, unit: 'ms', value: median(rounds, 'p99Ms'), runs: ROUNDS },
    );
  }
  return figures;
}

async function listing(name: string, info: CloudInfo): Promise<Figure> {
  const body = JSON.stringify({ Name: 'one of many' });
  await load({
    ...{ ...info, url: new URL(info.api), service: 'greengrass', method: 'POST', requests: GROUPS },
    targets: Array.from({ length: CONNECTIONS }, () => ({ path: '/greengrass/groups', body })),
  });
  const clients = createClients({ endpoint: info.api, ...info });
  try {
    const begun = performance.now();
    let count = 0;
    let NextToken: string | undefined;
    do {
      const page = await clients.greengrass.send(
        new ListGroupsCommand({ MaxResults: '100', ...(NextToken === undefined ? {} : { NextToken }) }),
      );
      count += page.Groups?.length ?? 0;
      NextToken = page.NextToken;
    } while (NextToken !== undefined);
    if (count < GROUPS) throw new Error(`${count} groups were listed of ${GROUPS}`);
    const seconds = (performance.now() - begun) / 1000;
    return { name: `${GROUPS} groups listed by pages of 100, ${name}`, unit: 's', value: seconds, runs: 1 };
  } finally {
    clients.destroy();
  }
}

/** The same requests to a route that does nothing. */
async function floor(requests: readonly Request[]): Promise<Figure[]> {
  const secretAccessKey = 'floor';
  const program = fileURLToPath(new URL('./bare-api.js', import.meta.url));
  const child = await start(process.execPath, [program, secretAccessKey], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const port = await new Promise<string>((resolve) =>
      child.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString().trim())),
    );
    const info = { api: `http://127.0.0.1:${port}`, accessKeyId: 'AKIAFLOOR', secretAccessKey };
    return await measure(
      { name: 'floor (bare express, SigV4 only)', info: { ...info, region: 'us-east-1' } },
      requests,
    );
  } finally {
    await stop(child, 5000);
  }
}

export async function cloud(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gg-bench-cloud-'));
  const figures: Figure[] = [];
  const on = async (name: string, options: readonly string[]): Promise<Request[]> => {
    const running = await startCloud(join(folder, name), {}, options);
    try {
      const requests = await prepare(running.info);
      figures.push(...(await measure({ name, info: running.info }, requests)));
      figures.push(await listing(name, running.info));
      return requests;
    } finally {
      await running.stop();
    }
  };
  const postgres = hasPostgres ? await PostgresServer.create({ isDurable: true }) : undefined;
  try {
    const requests = await on('SQLite', []);
    figures.push(...(await floor(requests)));
    if (postgres) await on('PostgreSQL', ['--database-url', await postgres.createDatabase()]);
    return figures;
  } finally {
    await postgres?.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

function median(results: readonly LoadResult[], member: keyof LoadResult): number {
  const values = results.map((result) => result[member]).sort((one, other) => one - other);
  return values[Math.floor(values.length / 2)] ?? 0;
}
