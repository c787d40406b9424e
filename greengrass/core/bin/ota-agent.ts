/**
 * The OTA agent's process, kept running by `ggc-ota`: ota-agent --root DIR [-i] [--log FILE] [--health-window SECONDS]
 * [--check]. It stands apart from the daemon, which it stops and starts. Exit codes: 0 stopped, 1 failed, 2 what only an operator can mend, 75 another
 * agent is to be started in its place. `--check` only says whether it could run.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createLogger, type LogLevel } from '../../lib/log.js';
import { PACKAGE_ROOT, VERSION } from '../../lib/package-root.js';
import { controlSocketPath } from '../../model/control-socket.js';
import type { SoftwareUpdateJob } from '../../model/software-version.js';
import { readCredentials } from '../core-credentials.js';
import { IotConnection } from '../iot-client/connection.js';
import { formatRecord } from '../logs/log-format.js';
import { RotatingFile } from '../logs/rotating-file.js';
import { AgentSwitch } from '../ota/agent-switch.js';
import { OneAgent } from '../ota/one-agent.js';
import { OtaAgent } from '../ota/ota-agent.js';
import { SoftwarePackages, UpdateRefused } from '../ota/software-packages.js';
import { SoftwareUpdate } from '../ota/software-update.js';
import { UpdateRecord } from '../ota/update-record.js';
import { readRootConfig } from '../root-config.js';
import { ServiceClient, ServiceError } from '../service-client.js';

const REPLACED = 75;
const LOG_BYTES = 1024 * 1024;
/** V1's root and its log; other roots keep it to themselves. */
const V1_ROOT = '/greengrass';
const V1_LOG = '/var/log/greengrass/ota/ggc_ota.txt';

const { values: given } = parseArgs({
  options: {
    root: { type: 'string', default: resolve(PACKAGE_ROOT, '../../..') },
    insecure: { type: 'boolean', short: 'i', default: false },
    log: { type: 'string' },
    'health-window': { type: 'string', default: '10' },
    check: { type: 'boolean', default: false },
  },
});

async function main(root: string): Promise<void> {
  process.umask(0o022);
  const { config } = readRootConfig(root);
  const credentials = readCredentials(config);
  const packages = new SoftwarePackages(root);
  if (given.check) {
    process.stdout.write(`${VERSION}\n`);
    return;
  }
  // Throws where this core was not installed from a package.
  const { current } = packages;
  const alone = OneAgent.claim(root);
  if (!alone) throw new Error(`another OTA agent runs for ${root}`);
  const file = new RotatingFile(
    given.log ?? (root === V1_ROOT ? V1_LOG : join(root, 'ota', 'ggc_ota.txt')),
    LOG_BYTES,
  );
  const logger = createLogger({
    stream: { write: (record: string) => file.write(formatRecord(record)) },
  });
  process.on('uncaughtException', (error) => {
    logger.fatal({ stack: error.stack }, 'The OTA agent died.');
    process.exit(1);
  });
  process.on('unhandledRejection', (error) => {
    logger.fatal({ reason: String(error) }, 'The OTA agent died.');
    process.exit(1);
  });

  const service = new ServiceClient({
    ...{ host: config.ggHost, port: config.ggHttpPort, ...credentials, logger },
    ...(config.networkProxy ? { proxy: config.networkProxy } : {}),
  });
  const link = new IotConnection({
    ...{ host: config.iotHost, port: config.iotMqttPort, ...credentials, logger },
    clientId: `${config.coreClientId}-ota`,
    keepAliveS: config.keepAliveS,
    maxRetryIntervalS: config.mqttMaxConnectionRetryIntervalS,
    operationTimeoutS: config.mqttOperationTimeoutS,
    ...(config.networkProxy ? { proxy: config.networkProxy } : {}),
  });
  /** Read anew for each update: the operator may have changed it. */
  const updateOptions = () => ({
    ...{ root, logger, managedRespawn: readRootConfig(root).config.managedRespawn },
    controlSocket: controlSocketPath(config.writeDirectory),
    publicKeyPem: trustedKeys(root),
    options: given.insecure ? ['-i'] : [],
    healthWindowMs: Number(given['health-window']) * 1000 || 0,
  });
  const end = async (code: number) => {
    await agent.stop();
    await link.stop();
    service.close();
    alone.release();
    process.exit(code);
  };
  const agent = new OtaAgent({
    ...{ root, thingName: config.thingName, link, packages, record: new UpdateRecord(root), logger },
    newUpdate: () => new SoftwareUpdate(updateOptions()),
    newSwitch: () => new AgentSwitch(updateOptions()),
    fetch: async (path, target, maxBytes) => {
      try {
        await service.downloadSoftware(path, target, maxBytes);
      } catch (error) {
        if (!(error instanceof ServiceError) || error.recoverable) throw error;
        throw new UpdateRefused(error.message, { cause: error });
      }
    },
    setLogLevel: (level) => {
      logger.level = logLevel(level);
    },
    onReplaced: () => void end(REPLACED),
  });
  process.on('SIGTERM', () => void end(0));
  process.on('SIGINT', () => void end(0));
  logger.info({ version: VERSION, core: current, pid: process.pid }, 'The OTA agent was started.');
  await agent.start();
  await link.start();
}

/** An empty text where there is none: then every package is refused, and an update that is under way still ends. */
function trustedKeys(root: string): string {
  const file = join(root, 'certs', 'software.pub');
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

function logLevel(level: SoftwareUpdateJob['logLevel']): LogLevel {
  if (level === 'NONE') return 'silent';
  return level === 'VERBOSE' ? 'trace' : (level.toLowerCase() as LogLevel);
}

main(resolve(given.root)).catch((error: Error) => {
  process.stderr.write(`ggc-ota: ${error.message}\n`);
  process.exit(error instanceof UpdateRefused ? 2 : 1);
});
