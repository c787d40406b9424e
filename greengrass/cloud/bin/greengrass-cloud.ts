#!/usr/bin/env node
/**
 * greengrass-cloud: the V1 cloud as one process. Exit codes: 0 stopped as asked, 1 failed, 2 wrong command line.
 * Logs go to stderr as JSON lines.
 */
import { resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { CheckError, check, z } from '../../lib/check.js';
import { isCertifiable } from '../../lib/host-names.js';
import { createLogger } from '../../lib/log.js';
import { VERSION } from '../../lib/package-root.js';
import { readAwsConfig } from '../aws/config.js';
import { auditCommand } from './audit.js';
import { backupCommand, restoreCommand } from './backup.js';
import { keyCommand } from './keys.js';
import { databaseUrlOf, placeOptions, withPlace } from './place.js';
import { removeReadyFile, writeReadyFile } from './ready-file.js';
import { softwareCommand } from './software.js';

const port = z
  .string()
  .regex(/^\d{1,5}$/, 'must be a number')
  .transform(Number)
  .refine((value) => value <= 65_535, 'must be at most 65535');

const startOptions = z
  .object({
    ...placeOptions,
    objects: z.string().min(1).optional(),
    auditDays: z
      .string()
      .regex(/^[1-9]\d{0,4}$/, 'must be a number of days')
      .transform(Number),
    host: z.string().min(1),
    publicHost: z.array(z.string().refine(isCertifiable, 'must be a host name or an IP address')).optional(),
    apiPort: port,
    mqttPort: port,
    httpsPort: port,
    alpnPort: port.optional(),
    auth: z.enum(['sigv4', 'none']),
    intermediateDays: z
      .string()
      .regex(/^[1-9]\d{0,3}$/, 'must be a number of days, 9999 at most')
      .transform(Number)
      .optional(),
    readyFile: z.string().min(1).optional(),
    aws: z.string().min(1).optional(),
    region: z.string().regex(/^[a-z0-9-]{1,32}$/, 'must be the name of a region, such as us-east-1'),
    accountId: z
      .string()
      .regex(/^\d{12}$/, 'must be 12 digits')
      .optional(),
    logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
  })
  .refine(({ auth, host }) => auth !== 'none' || isLoopback(host), {
    path: ['auth'],
    error:
      'none lets everybody in, so it is for a loopback address only (--host 127.0.0.1, ::1 or localhost)',
  });
type StartOptions = z.output<typeof startOptions>;

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function program(): Command {
  const command = new Command('greengrass-cloud').version(VERSION).exitOverride();
  withPlace(command.command('start'))
    .description('starts the cloud and serves until SIGTERM or SIGINT')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option(
      '--public-host <names...>',
      'names or addresses under which cores and devices reach it, where they are not --host: a DNS name, the address before NAT',
    )
    .option('--api-port <port>', 'REST APIs; 0 picks a free port, here and below', '8090')
    .option('--mqtt-port <port>', 'MQTT for cores and devices', '8883')
    .option('--https-port <port>', 'discovery and deployments', '8443')
    .option('--alpn-port <port>', 'MQTT and HTTPS on one port, told apart by ALPN: 443 for device SDKs')
    .option('--auth <kind>', 'sigv4, or none (loopback only)', 'sigv4')
    .option('--ready-file <file>', 'written when the cloud is ready: addresses and access key, as JSON')
    .option('--aws <file>', 'hybrid installation: what is left to AWS (docs/hybrid.md)')
    .option(
      '--objects <dir>',
      'stands in for S3, a folder for each bucket (default: objects in the data folder)',
    )
    .option('--audit-days <days>', 'so long entries of the audit log are kept', '400')
    .option(
      '--intermediate-days <days>',
      'cores that ask for it sign their MQTT server certificate themselves, by an intermediate CA of so many days (default: none may)',
    )
    .option('--region <name>', 'region in ARNs and signatures', 'us-east-1')
    .option('--account-id <id>', 'account in ARNs, at the first start (default: made up)')
    .option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent', 'info')
    .action((options: unknown) => start(check(startOptions, options, 'greengrass-cloud start')));
  keyCommand(command);
  auditCommand(command);
  backupCommand(command);
  restoreCommand(command);
  softwareCommand(command);
  return command;
}

/** Resolves once the cloud has stopped. */
async function start(options: StartOptions): Promise<void> {
  const log = createLogger({ level: options.logLevel, name: 'greengrass-cloud' });
  const readyFile = options.readyFile === undefined ? undefined : resolve(options.readyFile);
  if (readyFile !== undefined) removeReadyFile(readyFile);
  const stopped = stopSignal();
  // Loaded here: the other commands do without, and so start in a third of the time.
  const { CloudService } = await import('../service.js');
  const service = new CloudService({
    dataFolder: options.data,
    ...databaseUrlOf(options),
    ...(options.objects === undefined ? {} : { objectsFolder: resolve(options.objects) }),
    auditDays: options.auditDays,
    host: options.host,
    ...(options.publicHost === undefined ? {} : { publicHosts: options.publicHost }),
    apiPort: options.apiPort,
    mqttPort: options.mqttPort,
    httpsPort: options.httpsPort,
    ...(options.alpnPort === undefined ? {} : { alpnPort: options.alpnPort }),
    auth: options.auth,
    ...(options.intermediateDays === undefined ? {} : { intermediateDays: options.intermediateDays }),
    region: options.region,
    ...(options.accountId === undefined ? {} : { accountId: options.accountId }),
    ...(options.aws === undefined ? {} : { aws: readAwsConfig(resolve(options.aws)) }),
    log,
  });
  const addresses = await service.start();
  try {
    if (readyFile !== undefined) writeReadyFile(readyFile, addresses);
    const { api, mqtt, https, accountId, region } = addresses;
    log.info({ api, mqtt, https, accountId, region, data: options.data }, 'greengrass-cloud is ready');
    log.info({ signal: await stopped }, 'greengrass-cloud is stopping');
  } finally {
    if (readyFile !== undefined) removeReadyFile(readyFile);
    await service.stop();
  }
}

/** Resolves with the first signal that asks for an end, also where it comes during the start. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolveSignal) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolveSignal(signal));
  });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && !error.message.includes(error.cause.message)
    ? `${error.message}: ${error.cause.message}`
    : error.message;
}

try {
  await program().parseAsync();
  process.exitCode = 0;
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    process.stderr.write(`greengrass-cloud: ${reasonOf(error)}\n`);
    process.exitCode = error instanceof CheckError ? 2 : 1;
  }
}
