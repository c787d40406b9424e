/** Options that several of gg's own verbs share, and what they stand for. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Clients } from './clients.js';
import type { ConnectOptions } from './connect.js';

export interface CommonOptions extends ConnectOptions {
  readonly json?: boolean;
}

export interface ConnectionOptions extends CommonOptions {
  readonly iotHost?: string;
  readonly mqttPort?: number;
  readonly ggHost?: string;
  readonly httpsPort?: number;
  readonly caFile?: string;
}

export function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65535)
    throw new InvalidArgumentError('a port is 1 to 65535');
  return value;
}

export async function connect(options: CommonOptions): Promise<Clients> {
  const [{ whereTo }, { createClients }] = await Promise.all([
    import('./connect.js'),
    import('./clients.js'),
  ]);
  const { endpoint, region, credentials } = whereTo(options, process.env);
  return createClients({ endpoint, region, ...credentials });
}

export async function connection(options: ConnectionOptions) {
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
export function tell(options: CommonOptions, line: string, facts: object): void {
  process.stdout.write(`${options.json ? JSON.stringify(facts, null, 2) : line}\n`);
}

export function common(command: Command): Command {
  return command
    .option('--endpoint <url>', 'API of greengrass-cloud')
    .option(
      '--ready-file <file>',
      'the file that greengrass-cloud wrote when it was ready: endpoint, ports, keys',
    )
    .option('--region <region>', 'region of the account')
    .option('--json', 'print facts as JSON');
}

export function withConnection(command: Command): Command {
  return common(command)
    .option('--iot-host <host>', 'MQTT host for the device')
    .option('--mqtt-port <port>', 'MQTT port', port)
    .option('--gg-host <host>', 'HTTPS host for the device')
    .option('--https-port <port>', 'HTTPS port', port)
    .option('--ca-file <file>', 'CA of the cloud');
}
