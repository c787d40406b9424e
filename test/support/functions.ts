/** Functions as the core runs them, without broker and cloud: real workers, the real door, real runtimes. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IpcServer } from '../../greengrass/core/ipc/ipc-server.js';
import { Isolation } from '../../greengrass/core/isolation/isolation.js';
import type { WorkerLogLevel } from '../../greengrass/core/isolation/worker-process.js';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { Functions, type FunctionsOptions } from '../../greengrass/core/lambda/functions.js';
import type { SystemServices } from '../../greengrass/core/lambda/system-services.js';
import { ShadowService } from '../../greengrass/core/shadow/shadow-service.js';
import { createLogger } from '../../greengrass/lib/log.js';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';

export interface Published {
  readonly source: string;
  readonly topic: string;
  readonly payload: Buffer;
}

export interface LogEntry {
  readonly functionArn: string;
  readonly level: WorkerLogLevel;
  readonly message: string;
}

export interface FunctionBench {
  readonly folder: string;
  readonly functions: Functions;
  readonly ipc: IpcServer;
  readonly published: Published[];
  readonly entries: LogEntry[];
  /** Lines of runtime.log. */
  readonly lines: Array<Record<string, unknown> & { msg: string }>;
  /** The next publish is refused, as with a full queue. */
  refusePublish: boolean;
  /** A function with these files. */
  define(
    name: string,
    files: Readonly<Record<string, string>>,
    overrides?: Partial<DeployedFunction>,
  ): DeployedFunction;
  /** Deploys exactly these functions. */
  deploy(...functions: DeployedFunction[]): Promise<void>;
  /** A message for the function, as the router would deliver it. */
  deliver(deployed: DeployedFunction, topic: string, payload: string | Buffer): boolean;
  close(): Promise<void>;
}

export function arnOf(name: string, version = 1): string {
  return `arn:aws:lambda:us-east-1:123456789012:function:${name}:${version}`;
}

/** `parent` other than /tmp: containers have a /tmp of their own, where nothing has to be hidden. */
/** What workers are told of the core. */
export const CORE_FACTS = {
  region: 'us-east-1',
  thingName: 'test-core',
  iotHost: 'localhost',
  iotMqttPort: 8883,
  iotHttpPort: 8443,
  ggHost: 'localhost',
  ggHttpPort: 8443,
  ggMqttPort: 8883,
  keepAliveS: 600,
  mqttMaxConnectionRetryIntervalS: 60,
};

export async function startFunctions(
  options: Partial<FunctionsOptions> = {},
  parent = tmpdir(),
): Promise<FunctionBench> {
  const folder = mkdtempSync(join(parent, 'greengrass-functions-'));
  chmodSync(folder, 0o755);
  const lines: FunctionBench['lines'] = [];
  const logger = createLogger({
    level: 'debug',
    stream: { write: (text: string) => lines.push(JSON.parse(text)) },
  });
  const published: Published[] = [];
  const entries: LogEntry[] = [];
  const shadows = new ShadowService({ path: join(folder, 'shadow.db'), logger, emit: () => {} });
  await shadows.start();
  const isolation = new Isolation({ hiddenPaths: [folder], stateFolder: join(folder, 'state'), logger });
  await isolation.probe();
  const logs = {
    write: (functionArn: string, level: WorkerLogLevel, message: string) =>
      entries.push({ functionArn, level, message }),
  };
  const services: SystemServices = {
    publish: (source, topic, payload, allOrError) => {
      if (bench.refusePublish && allOrError) return false;
      published.push({ source, topic, payload });
      return true;
    },
    shadow: (thing, operation, payload) => shadows.request(thing, operation, payload),
    secret: async (_arn, request) => {
      const { SecretId } = JSON.parse(request.toString('utf8')) as { SecretId: string };
      const found = {
        ARN: `arn:aws:secretsmanager:us-east-1:123456789012:secret:${SecretId}`,
        Name: SecretId,
        VersionId: 'v1',
        SecretBinary: null,
        SecretString: 'hush',
        VersionStages: ['AWSCURRENT'],
        CreatedDate: 1_700_000_000_000,
      };
      return Buffer.from(
        JSON.stringify(SecretId === 'known' ? found : { Status: 404, Message: 'no such secret' }),
      );
    },
  };
  const functions = new Functions({
    engine: isolation,
    logs,
    logger,
    services,
    facts: CORE_FACTS,
    maxWorkItemCount: 1024,
    maxConcurrentLimit: 25,
    lruSize: 25,
    ipcPort: () => ipc.port,
    runtimesFolder: join(PACKAGE_ROOT, 'greengrass/runtimes'),
    ...options,
  });
  const ipc: IpcServer = new IpcServer({
    port: 0,
    desk: functions,
    logs,
    credentials: async () => ({
      refused: 404,
      reason: 'You need to attach an IAM role to this deployment group.',
    }),
    logger,
  });
  await ipc.start();
  await functions.start();
  const bench: FunctionBench = {
    folder,
    functions,
    ipc,
    published,
    entries,
    lines,
    refusePublish: false,
    define: (name, files, overrides = {}) => {
      const codeFolder = join(folder, 'code', overrides.arn?.split(':').slice(-2).join('-') ?? name);
      mkdirSync(codeFolder, { recursive: true });
      for (const [file, text] of Object.entries(files)) writeFileSync(join(codeFolder, file), text);
      return {
        arn: arnOf(name),
        runtime: 'python3.11',
        handler: 'main.handler',
        execArgs: [],
        pinned: false,
        timeoutMs: 10_000,
        encoding: 'json',
        environment: {},
        isolation: 'GreengrassContainer',
        uid: 64001,
        gid: 64001,
        additionalGids: [],
        memoryKb: 131072,
        accessSysfs: false,
        codeFolder,
        mounts: [],
        devices: [],
        ...overrides,
      };
    },
    deploy: async (...list) => {
      const applied = await functions.apply(await functions.prepare(list));
      await applied.commit();
    },
    deliver: (deployed, topic, payload) =>
      functions.endpoint.deliver(
        { source: 'cloud', topic, payload: Buffer.from(payload), qos: 0 },
        deployed.arn,
      ),
    close: async () => {
      await functions.stop();
      await ipc.stop();
      await isolation.close();
      await shadows.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return bench;
}
