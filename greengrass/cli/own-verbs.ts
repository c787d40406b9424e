/** gg's own verbs: whole errands that take many calls. What they need is loaded when one of them runs. */
import { resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { VERSION } from '../lib/package-root.js';
import { addAdopt } from './adopt/verbs.js';
import { SHELLS } from './completion/shells.js';
import { addDeployment, addPlan } from './deployment-verbs.js';
import { errorText } from './error-text.js';
import { apiVerbList } from './overview.js';
import { addShadow, addSpooler, addTrace } from './running-core-verbs.js';
import {
  type CommonOptions,
  type ConnectionOptions,
  common,
  connect,
  connection,
  port,
  tell,
  withConnection,
} from './verb-options.js';

interface BootstrapFlags extends ConnectionOptions {
  readonly groupName: string;
  readonly coreName: string;
  readonly root: string;
  readonly rootOnCore?: string;
  readonly coreMqttPort?: number;
  readonly coreDaemonPort?: number;
}

const errands = () => import('./index.js');

function addBootstrap(gg: Command): void {
  withConnection(gg.command('bootstrap'))
    .description('make thing, certificate, policy, group and config.json for a core')
    .requiredOption('--group-name <name>')
    .requiredOption('--core-name <name>')
    .requiredOption('--root <dir>', 'the greengrass root to fill')
    .option('--root-on-core <dir>', 'where that root will be on the core device, if files are copied there')
    .option(
      '--core-mqtt-port <port>',
      "of the core's local MQTT server (ggMqttPort): 8883 if not given",
      port,
    )
    .option(
      '--core-daemon-port <port>',
      'where functions reach the core (ggDaemonPort): 8000 if not given',
      port,
    )
    .action(async (options: BootstrapFlags) => {
      const { bootstrapCore } = await errands();
      const made = await bootstrapCore(await connect(options), {
        ...options,
        ...(await connection(options)),
        root: resolve(options.root),
        config: {
          ...(options.coreMqttPort === undefined ? {} : { ggMqttPort: options.coreMqttPort }),
          ...(options.coreDaemonPort === undefined ? {} : { ggDaemonPort: options.coreDaemonPort }),
        },
      });
      tell(
        options,
        `Group ${options.groupName} (${made.groupId}), core ${options.coreName}: ${made.configFile}\nNext, on the core: sudo ${options.rootOnCore ?? resolve(options.root)}/ggc/core/greengrassd start`,
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

function addEnvironment(gg: Command): void {
  gg.command('env')
    .description(
      'print what the AWS CLI and SDKs need to reach the cloud: eval "$(gg env --ready-file FILE)"',
    )
    .requiredOption('--ready-file <file>', 'the file that greengrass-cloud wrote when it was ready')
    .action(async (options: { readyFile: string }) => {
      const [{ readReady }, { environmentLines }] = await Promise.all([
        import('./connect.js'),
        import('./environment.js'),
      ]);
      process.stdout.write(environmentLines(readReady(options)));
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
    addEnvironment,
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
  if (!(error instanceof Error) || error.name !== 'CredentialsProviderError') return errorText(error);
  return 'there are no keys: give --ready-file, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
}
