#!/usr/bin/env node
/** gg: one command for people. Exit codes: 0 done, 1 failed, 2 wrong command line. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { checkJson, z } from '../lib/check.js';
import { VERSION } from '../lib/package-root.js';
import {
  bootstrapCore,
  type Clients,
  createClients,
  createDevice,
  deployGroup,
  publishLambda,
  waitForDeployment,
} from './index.js';

/** What greengrass-cloud wrote when it was ready, as far as it matters here. */
const readyFile = z.object({
  api: z.string(),
  mqtt: z.object({ host: z.string(), port: z.number() }),
  https: z.object({ host: z.string(), port: z.number() }),
  caFile: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  region: z.string(),
});
type Ready = z.output<typeof readyFile>;

interface CommonOptions {
  readonly readyFile?: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly json?: boolean;
}

interface ConnectionOptions extends CommonOptions {
  readonly iotHost?: string;
  readonly mqttPort?: number;
  readonly ggHost?: string;
  readonly httpsPort?: number;
  readonly caFile?: string;
}

function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65535)
    throw new InvalidArgumentError('a port is 1 to 65535');
  return value;
}

function readReady(options: CommonOptions): Ready | undefined {
  return options.readyFile
    ? checkJson(readyFile, readFileSync(options.readyFile, 'utf8'), options.readyFile)
    : undefined;
}

/** Endpoint and keys: options first, then the ready file, then AWS's environment variables. */
function connect(options: CommonOptions): Clients {
  const ready = readReady(options);
  const env = process.env;
  const need = (value: string | undefined, what: string) => {
    if (value) return value;
    throw new Error(`${what} is not known: give --ready-file (greengrass-cloud writes one), or set it`);
  };
  return createClients({
    endpoint: need(options.endpoint ?? ready?.api, 'the endpoint (--endpoint URL)'),
    region: options.region ?? ready?.region ?? env.AWS_REGION ?? env.AWS_DEFAULT_REGION ?? 'us-east-1',
    accessKeyId: need(ready?.accessKeyId ?? env.AWS_ACCESS_KEY_ID, 'AWS_ACCESS_KEY_ID'),
    secretAccessKey: need(ready?.secretAccessKey ?? env.AWS_SECRET_ACCESS_KEY, 'AWS_SECRET_ACCESS_KEY'),
  });
}

function connection(options: ConnectionOptions) {
  const ready = readReady(options);
  const host = options.endpoint ? new URL(options.endpoint).hostname : undefined;
  const caFile = options.caFile ?? ready?.caFile;
  const iotHost = options.iotHost ?? ready?.mqtt.host ?? host;
  const ggHost = options.ggHost ?? ready?.https.host ?? iotHost;
  if (!caFile || !iotHost || !ggHost) {
    throw new Error(
      'where the cloud is, is not known: give --ready-file, or --iot-host, --gg-host and --ca-file',
    );
  }
  return {
    iotHost,
    ggHost,
    caFile,
    mqttPort: options.mqttPort ?? ready?.mqtt.port ?? 8883,
    httpsPort: options.httpsPort ?? ready?.https.port ?? 8443,
  };
}

/** One line for people, or the facts as JSON. */
function tell(options: CommonOptions, line: string, facts: object): void {
  process.stdout.write(`${options.json ? JSON.stringify(facts, null, 2) : line}\n`);
}

function common(command: Command): Command {
  return command
    .option('--endpoint <url>', 'API of greengrass-cloud')
    .option(
      '--ready-file <file>',
      'the file that greengrass-cloud wrote when it was ready: endpoint, ports, keys',
    )
    .option('--region <region>', 'region of the account')
    .option('--json', 'print facts as JSON');
}

function withConnection(command: Command): Command {
  return common(command)
    .option('--iot-host <host>', 'MQTT host for the device')
    .option('--mqtt-port <port>', 'MQTT port', port)
    .option('--gg-host <host>', 'HTTPS host for the device')
    .option('--https-port <port>', 'HTTPS port', port)
    .option('--ca-file <file>', 'CA of the cloud');
}

function program(): Command {
  const gg = new Command('gg').description('Greengrass V1 for people').version(VERSION).exitOverride();
  withConnection(gg.command('bootstrap'))
    .description('make thing, certificate, policy, group and config.json for a core')
    .requiredOption('--group-name <name>')
    .requiredOption('--core-name <name>')
    .requiredOption('--root <dir>', 'the greengrass root to fill')
    .action(async (options: ConnectionOptions & { groupName: string; coreName: string; root: string }) => {
      const made = await bootstrapCore(connect(options), {
        ...options,
        ...connection(options),
        root: resolve(options.root),
      });
      tell(
        options,
        `Group ${options.groupName} (${made.groupId}), core ${options.coreName}: ${made.configFile}\nNext: greengrassd --root ${resolve(options.root)} start`,
        made,
      );
    });
  withConnection(gg.command('device').description('devices of a group').command('create'))
    .description('make thing, certificate and policy for a device and add it to the group')
    .requiredOption('--group <name>', 'name or id of the group')
    .requiredOption('--name <name>', 'name of the thing')
    .requiredOption('--out <dir>', 'folder for certificate, key and CA')
    .action(async (options: ConnectionOptions & { group: string; name: string; out: string }) => {
      const { caFile } = connection(options);
      const { group, name: thingName, out } = options;
      const made = await createDevice(connect(options), { group, thingName, out: resolve(out), caFile });
      const { privateKeyPem: _secret, ...identity } = made.identity;
      tell(
        options,
        `Device ${thingName}: files in ${resolve(out)}\nNext: gg deploy --group ${group} --wait`,
        { ...made, identity },
      );
    });
  common(gg.command('deploy'))
    .description('deploy the latest version of a group')
    .requiredOption('--group <name>', 'name or id of the group')
    .option('--wait', 'wait for Success or Failure')
    .option('--timeout <seconds>', 'how long to wait', (text) => Number(text), 300)
    .action(async (options: CommonOptions & { group: string; wait?: boolean; timeout: number }) => {
      const clients = connect(options);
      const { groupId, deploymentId } = await deployGroup(clients, options.group);
      if (!options.wait)
        return tell(options, `Deployment ${deploymentId} started`, { groupId, deploymentId });
      const end = await waitForDeployment(clients, groupId, deploymentId, {
        timeoutMs: options.timeout * 1000,
      });
      tell(
        options,
        `Deployment ${deploymentId}: ${end.status}${end.errorMessage ? `\n${end.errorMessage}` : ''}`,
        { groupId, deploymentId, ...end },
      );
      if (end.status !== 'Success') process.exitCode = 1;
    });
  common(gg.command('lambda').description('functions').command('publish <folder>'))
    .description(
      'zip a function folder (lambda.json) with its SDK, create or update the function, publish a version',
    )
    .action(async (folder: string, options: CommonOptions) => {
      const { functionArn } = await publishLambda(connect(options), resolve(folder));
      tell(options, functionArn, { functionArn });
    });
  return gg;
}

program()
  .parseAsync()
  .catch((error: Error) => {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
