/** gg's own verbs: whole errands that take many calls. What they need is loaded when one of them runs. */
import { resolve } from 'node:path';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { VERSION } from '../lib/package-root.js';
import { addAdopt } from './adopt/verbs.js';
import type { Clients } from './clients.js';
import { SHELLS } from './completion/shells.js';
import type { ConnectOptions } from './connect.js';
import { addDeployment, addPlan } from './deployment-verbs.js';
import { apiVerbList } from './overview.js';
import type { ShadowOptions } from './shadow.js';
import type { SpoolerOptions } from './spooler.js';
import type { TraceOptions } from './trace.js';

interface CommonOptions extends ConnectOptions {
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

const errands = () => import('./index.js');

async function connect(options: CommonOptions): Promise<Clients> {
  const [{ whereTo }, { createClients }] = await Promise.all([import('./connect.js'), errands()]);
  const { endpoint, region, credentials } = whereTo(options, process.env);
  return createClients({ endpoint, region, ...credentials });
}

async function connection(options: ConnectionOptions) {
  const { readReady } = await import('./connect.js');
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

function addBootstrap(gg: Command): void {
  withConnection(gg.command('bootstrap'))
    .description('make thing, certificate, policy, group and config.json for a core')
    .requiredOption('--group-name <name>')
    .requiredOption('--core-name <name>')
    .requiredOption('--root <dir>', 'the greengrass root to fill')
    .action(async (options: ConnectionOptions & { groupName: string; coreName: string; root: string }) => {
      const { bootstrapCore } = await errands();
      const made = await bootstrapCore(await connect(options), {
        ...options,
        ...(await connection(options)),
        root: resolve(options.root),
      });
      tell(
        options,
        `Group ${options.groupName} (${made.groupId}), core ${options.coreName}: ${made.configFile}\nNext: greengrassd --root ${resolve(options.root)} start`,
        made,
      );
    });
}

function addDevice(gg: Command): void {
  withConnection(gg.command('device').description('devices of a group').command('create'))
    .description('make thing, certificate and policy for a device and add it to the group')
    .requiredOption('--group <name>', 'name or id of the group')
    .requiredOption('--name <name>', 'name of the thing')
    .requiredOption('--out <dir>', 'folder for certificate, key and CA')
    .action(async (options: ConnectionOptions & { group: string; name: string; out: string }) => {
      const { createDevice } = await errands();
      const { caFile } = await connection(options);
      const { group, name: thingName, out } = options;
      const made = await createDevice(await connect(options), {
        group,
        thingName,
        out: resolve(out),
        caFile,
      });
      const { privateKeyPem: _secret, ...identity } = made.identity;
      tell(
        options,
        `Device ${thingName}: files in ${resolve(out)}\nNext: gg deploy --group ${group} --wait`,
        { ...made, identity },
      );
    });
}

function addDeploy(gg: Command): void {
  common(gg.command('deploy'))
    .description('deploy the latest version of a group')
    .requiredOption('--group <name>', 'name or id of the group')
    .option('--wait', 'wait for Success or Failure')
    .option('--timeout <seconds>', 'how long to wait', (text) => Number(text), 300)
    .action(async (options: CommonOptions & { group: string; wait?: boolean; timeout: number }) => {
      const { deployGroup, waitForDeployment } = await errands();
      const clients = await connect(options);
      const { groupId, deploymentId } = await deployGroup(clients, options.group);
      if (!options.wait)
        return tell(options, `Deployment ${deploymentId} started`, { groupId, deploymentId });
      const end = await waitForDeployment(clients, groupId, deploymentId, {
        timeoutMs: options.timeout * 1000,
        // Progress goes beside the result, which scripts read.
        onStage: (stage) => process.stderr.write(`${stage}\n`),
      });
      tell(
        options,
        `Deployment ${deploymentId}: ${end.status}${end.errorMessage ? `\n${end.errorMessage}` : ''}`,
        { groupId, deploymentId, ...end },
      );
      if (end.status !== 'Success') process.exitCode = 1;
    });
}

function addLambda(gg: Command): void {
  common(gg.command('lambda').description('functions').command('publish <folder>'))
    .description(
      'zip a function folder (lambda.json) with its SDK, create or update the function, publish a version',
    )
    .action(async (folder: string, options: CommonOptions) => {
      const { publishLambda } = await errands();
      const { functionArn } = await publishLambda(await connect(options), resolve(folder));
      tell(options, functionArn, { functionArn });
    });
}

function addTrace(gg: Command): void {
  gg.command('trace')
    .argument('[filter]', 'topic filter; everything where absent')
    .description('follow messages through a running core of this machine: who got them, or why nobody did')
    .option('--root <dir>', 'the greengrass root of the core (default: /greengrass)')
    .option('--source <text>', 'only messages whose source contains this')
    .option('--unrouted', 'only messages that did not reach every target')
    .option('--counters', 'how many messages found no target, by source and topic, since the last deployment')
    .option('--count <number>', 'end after so many messages', (text) => Number(text))
    .option('--json', 'one JSON text on a line for each message')
    .action(async (filter: string | undefined, options: TraceOptions) => {
      const { trace } = await import('./trace.js');
      const ended = new AbortController();
      process.once('SIGINT', () => ended.abort());
      await trace(
        { ...options, ...(filter === undefined ? {} : { filter }) },
        (text) => process.stdout.write(text),
        ended.signal,
      );
    });
}

function addSpooler(gg: Command): void {
  gg.command('spooler')
    .description(
      'what waits for the cloud in a running core of this machine, what was lost, and the connection',
    )
    .option('--root <dir>', 'the greengrass root of the core (default: /greengrass)')
    .option('--json', 'print facts as JSON')
    .action(async (options: SpoolerOptions) =>
      (await import('./spooler.js')).showSpooler(options, (text) => process.stdout.write(text)),
    );
}

function addShadow(gg: Command): void {
  const shadow = gg.command('shadow').description('shadows of a running core of this machine');
  const write = (text: string) => process.stdout.write(text);
  const verb = (usage: string, description: string) =>
    shadow
      .command(usage)
      .description(description)
      .option('--name <shadow>', "a named shadow; without it the thing's own")
      .option('--root <dir>', 'the greengrass root of the core (default: /greengrass)')
      .option('--json', 'print facts as JSON');
  verb('list', 'the shadows, and how their sync with the cloud stands').action(
    async (options: ShadowOptions) => (await import('./shadow.js')).listShadows(options, write),
  );
  verb('get <thing>', 'print the local shadow').action(async (thing: string, options: ShadowOptions) =>
    (await import('./shadow.js')).getShadow(thing, options, write),
  );
  verb(
    'update <thing> <document>',
    'update the local shadow, e.g. \'{"state":{"desired":{"on":true}}}\'',
  ).action(async (thing: string, document: string, options: ShadowOptions) =>
    (await import('./shadow.js')).updateShadow(thing, document, options, write),
  );
  verb('delete <thing>', 'delete the local shadow').action(async (thing: string, options: ShadowOptions) =>
    (await import('./shadow.js')).deleteShadow(thing, options, write),
  );
  verb(
    'diff <thing>',
    'what differs between the local shadow and that of the cloud; ends with 1 where anything does',
  ).action(async (thing: string, options: ShadowOptions) => {
    if (!(await (await import('./shadow.js')).diffShadow(thing, options, write))) process.exitCode = 1;
  });
}

function addCompletion(gg: Command): void {
  const completion = gg.command('completion').description('print what lets a shell complete gg by TAB');
  for (const [shell, { script, use }] of Object.entries(SHELLS)) {
    completion
      .command(shell)
      .description(use)
      .action(async () => {
        const { vocabulary } = await import('./completion/vocabulary.js');
        process.stdout.write((await script())(vocabulary(gg)));
      });
  }
}

/** The command with all own verbs; nothing has run yet. */
export function ownVerbs(): Command {
  const gg = new Command('gg')
    .description('Greengrass V1 for people')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError('("gg --help" lists the verbs, "gg VERB --help" the options of one)')
    .addHelpText('after', () => `\n${apiVerbList(process.stdout.columns ?? 80)}`);
  for (const add of [
    addBootstrap,
    addDevice,
    addDeploy,
    addLambda,
    addTrace,
    addSpooler,
    addShadow,
    addCompletion,
  ])
    add(gg);
  for (const add of [addPlan, addDeployment]) add(gg, { common, connect, tell });
  addAdopt(gg, { withConnection, connect, connection, tell });
  return gg;
}

/** 0 done · 1 failed · 2 wrong command line. */
export async function runOwnVerb(argv: readonly string[]): Promise<number> {
  try {
    await ownVerbs().parseAsync([...argv], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${messageOf(error)}\n`);
    return 1;
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name !== 'CredentialsProviderError') return error.message;
  return 'there are no keys: give --ready-file, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
}
