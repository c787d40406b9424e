/**
 * config.json of a core: V1's members, defaults and checks, in one place. Pure: the daemon reads the file.
 *
 * V1 files of every age load: certificates in `coreThing` (1.0 to 1.6) or in `crypto` (1.7 and later; it wins).
 * Unknown members are V1's business or a slip of the pen: they come back as warnings, never as errors.
 */
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CheckError, checkJson, type Problem, z } from '../lib/check.js';
import { parseThingArn } from './arn.js';
import { type NetworkProxy, networkProxyOf, networkProxySchema } from './network-proxy.js';

/** A port; 0 lets the system choose a free one (beyond V1; for tests and demonstrations). */
const port = z.number().int().min(0).max(65535);
const HOUR_S = 60 * 60;
const yesNo = z.union([z.literal('yes'), z.literal('no')]);

const coreThing = z.looseObject({
  caPath: z.string().optional(),
  certPath: z.string().optional(),
  keyPath: z.string().optional(),
  thingArn: z.string(),
  iotHost: z.string().min(1),
  ggHost: z.string().min(1),
  iotMqttPort: port.default(8883),
  iotHttpPort: port.default(8443),
  ggHttpPort: port.default(8443),
  ggMqttPort: port.default(8883),
  ggDaemonPort: port.default(8000),
  /** Seconds. */
  keepAlive: z.number().int().min(1).max(65535).default(600),
  mqttMaxConnectionRetryInterval: z.number().int().min(1).optional(),
  mqttOperationTimeout: z.number().int().min(1).default(5),
  coreClientId: z.string().min(1).max(128).optional(),
  systemComponentAuthTimeout: z.number().int().optional(),
  networkProxy: networkProxySchema.optional(),
});

const runtime = z.looseObject({
  cgroup: z.looseObject({ useSystemd: yesNo.optional() }).optional(),
  allowFunctionsToRunAsRoot: yesNo.default('no'),
  maxWorkItemCount: z.number().int().min(1).default(1024),
  maxConcurrentLimit: z.number().int().min(1).default(25),
  lruSize: z.number().int().min(0).default(25),
  mountAllBlockDevices: yesNo.default('no'),
  /** Milliseconds. */
  postStartHealthCheckTimeout: z.number().int().min(1).default(30000),
  /** Beyond V1: how many workers stand ready for on-demand functions, one for each; absent: the device's memory decides. */
  preparedWorkers: z.number().int().min(0).max(1000).optional(),
  /** Beyond V1: runtime name → name or absolute path of the interpreter that serves it on this device. */
  interpreters: z.record(z.string().min(1), z.string().min(1)).default({}),
});

const principal = z.looseObject({
  privateKeyPath: z.string().optional(),
  certificatePath: z.string().optional(),
});

const crypto = z.looseObject({
  caPath: z.string(),
  principals: z.looseObject({
    IoTCertificate: z.looseObject({ privateKeyPath: z.string(), certificatePath: z.string() }),
    MQTTServerCertificate: principal.optional(),
    SecretsManager: principal.optional(),
  }),
  PKCS11: z.unknown().optional(),
});

const configFile = z.looseObject({
  coreThing,
  runtime: runtime.default(runtime.parse({})),
  /** Beyond V1: who signs the certificate of the local MQTT server. `core`: an intermediate CA on this device. */
  mqttServerCertificate: z
    .looseObject({ issuer: z.enum(['cloud', 'core']).default('cloud') })
    .default({ issuer: 'cloud' }),
  /** Beyond V1: how often telemetry is aggregated and published, in seconds. */
  telemetry: z
    .looseObject({
      aggregateInterval: z.number().int().min(1).default(HOUR_S),
      publishInterval: z
        .number()
        .int()
        .min(1)
        .default(24 * HOUR_S),
    })
    .default({ aggregateInterval: HOUR_S, publishInterval: 24 * HOUR_S }),
  managedRespawn: z.boolean().default(false),
  crypto: crypto.optional(),
  mqttMaxConnectionRetryInterval: z.number().int().min(1).optional(),
  writeDirectory: z.string().optional(),
  pidFileDirectory: z.string().default('/var/run'),
  system: z
    .looseObject({
      shadowSyncTimeout: z.number().min(0).default(5),
      useOverlayWithTmpfs: z.boolean().optional(),
    })
    .default({ shadowSyncTimeout: 5 }),
});

/** The checked configuration: absolute paths, defaults filled in, frozen. */
export interface CoreConfig {
  readonly thingArn: string;
  readonly thingName: string;
  readonly region: string;
  readonly accountId: string;
  readonly caPath: string;
  readonly certificatePath: string;
  readonly privateKeyPath: string;
  /** The operator's own key for the local MQTT server; absent: the core makes and rotates one. */
  readonly mqttServerKeyPath?: string;
  /** Who signs the certificate of the local MQTT server: the group CA in the cloud, or an intermediate CA on this core. */
  readonly serverCertificateIssuer: 'cloud' | 'core';
  /** Private key that seals the local secrets; the core's own where it is absent. */
  readonly secretsKeyPath?: string;
  readonly iotHost: string;
  readonly iotMqttPort: number;
  readonly iotHttpPort: number;
  readonly ggHost: string;
  readonly ggHttpPort: number;
  readonly ggMqttPort: number;
  readonly ggDaemonPort: number;
  readonly keepAliveS: number;
  readonly mqttMaxConnectionRetryIntervalS: number;
  readonly mqttOperationTimeoutS: number;
  readonly coreClientId: string;
  /** Scripts of the operator run around updates of the software. */
  readonly managedRespawn: boolean;
  /** Between the core and the cloud. */
  readonly networkProxy?: NetworkProxy;
  readonly allowFunctionsToRunAsRoot: boolean;
  readonly maxWorkItemCount: number;
  readonly maxConcurrentLimit: number;
  readonly lruSize: number;
  readonly postStartHealthCheckTimeoutMs: number;
  /** Workers that stand ready for on-demand functions; absent: the device's memory decides. */
  readonly preparedWorkers?: number;
  /** Runtime name ("python3.7") → name or absolute path of the interpreter that serves it. */
  readonly interpreters: Readonly<Record<string, string>>;
  readonly shadowSyncTimeoutS: number;
  readonly telemetry: { readonly aggregateIntervalS: number; readonly publishIntervalS: number };
  /** Where deployments, logs and state go: `writeDirectory`, or `<root>/ggc`. */
  readonly writeDirectory: string;
  readonly pidFileDirectory: string;
}

/** Reads config.json. `root` is the greengrass root, `file` the name for messages. Throws CheckError. */
export function parseCoreConfig(
  text: string,
  { root, file }: { root: string; file: string },
): { config: CoreConfig; warnings: readonly string[] } {
  const parsed = checkJson(configFile, text, file);
  const problems: Problem[] = [];
  const thing = parseThingArn(parsed.coreThing.thingArn);
  if (!thing) {
    problems.push({
      path: 'coreThing.thingArn',
      rule: `must be arn:aws:iot:<region>:<account>:thing/<name>, but is "${parsed.coreThing.thingArn}"`,
    });
  }
  if (parsed.runtime.maxConcurrentLimit < parsed.runtime.lruSize) {
    problems.push({ path: 'runtime.maxConcurrentLimit', rule: 'must be at least runtime.lruSize' });
  }
  let networkProxy: NetworkProxy | undefined;
  try {
    networkProxy = parsed.coreThing.networkProxy && networkProxyOf(parsed.coreThing.networkProxy);
  } catch (error) {
    problems.push({ path: 'coreThing.networkProxy.proxy.url', rule: (error as Error).message });
  }
  const files = credentialFiles(parsed, root, problems);
  if (problems.length > 0 || !thing || !files) throw new CheckError(file, problems);

  const { coreThing: core } = parsed;
  const config: CoreConfig = {
    thingArn: core.thingArn,
    thingName: thing.thingName,
    region: thing.region,
    accountId: thing.accountId,
    ...files,
    serverCertificateIssuer: parsed.mqttServerCertificate.issuer,
    iotHost: core.iotHost,
    iotMqttPort: core.iotMqttPort,
    iotHttpPort: core.iotHttpPort,
    ggHost: core.ggHost,
    ggHttpPort: core.ggHttpPort,
    ggMqttPort: core.ggMqttPort,
    ggDaemonPort: core.ggDaemonPort,
    keepAliveS: core.keepAlive,
    mqttMaxConnectionRetryIntervalS:
      parsed.mqttMaxConnectionRetryInterval ?? core.mqttMaxConnectionRetryInterval ?? 60,
    mqttOperationTimeoutS: core.mqttOperationTimeout,
    coreClientId: core.coreClientId ?? thing.thingName,
    managedRespawn: parsed.managedRespawn,
    ...(networkProxy ? { networkProxy } : {}),
    allowFunctionsToRunAsRoot: parsed.runtime.allowFunctionsToRunAsRoot === 'yes',
    maxWorkItemCount: parsed.runtime.maxWorkItemCount,
    maxConcurrentLimit: parsed.runtime.maxConcurrentLimit,
    lruSize: parsed.runtime.lruSize,
    postStartHealthCheckTimeoutMs: parsed.runtime.postStartHealthCheckTimeout,
    ...(parsed.runtime.preparedWorkers === undefined
      ? {}
      : { preparedWorkers: parsed.runtime.preparedWorkers }),
    interpreters: parsed.runtime.interpreters,
    shadowSyncTimeoutS: parsed.system.shadowSyncTimeout,
    telemetry: {
      aggregateIntervalS: parsed.telemetry.aggregateInterval,
      publishIntervalS: parsed.telemetry.publishInterval,
    },
    writeDirectory: parsed.writeDirectory ? resolveIn(root, parsed.writeDirectory) : join(root, 'ggc'),
    pidFileDirectory: resolveIn(root, parsed.pidFileDirectory),
  };
  return { config: Object.freeze(config), warnings: unknownMembers(parsed) };
}

type ConfigFile = z.output<typeof configFile>;

function credentialFiles(
  { coreThing: core, crypto: modern }: ConfigFile,
  root: string,
  problems: Problem[],
):
  | Pick<CoreConfig, 'caPath' | 'certificatePath' | 'privateKeyPath' | 'mqttServerKeyPath' | 'secretsKeyPath'>
  | undefined {
  if (modern) {
    const { IoTCertificate: iot, MQTTServerCertificate: server, SecretsManager: secrets } = modern.principals;
    const paths = {
      caPath: fileUri(modern.caPath, 'crypto.caPath', problems),
      certificatePath: fileUri(
        iot.certificatePath,
        'crypto.principals.IoTCertificate.certificatePath',
        problems,
      ),
      privateKeyPath: fileUri(
        iot.privateKeyPath,
        'crypto.principals.IoTCertificate.privateKeyPath',
        problems,
      ),
    };
    const given = (path: string | undefined, principal: string) =>
      path === undefined
        ? undefined
        : fileUri(path, `crypto.principals.${principal}.privateKeyPath`, problems);
    const mqttServerKeyPath = given(server?.privateKeyPath, 'MQTTServerCertificate');
    const secretsKeyPath = given(secrets?.privateKeyPath, 'SecretsManager');
    return {
      ...paths,
      ...(mqttServerKeyPath === undefined ? {} : { mqttServerKeyPath }),
      ...(secretsKeyPath === undefined ? {} : { secretsKeyPath }),
    };
  }
  if (!core.caPath || !core.certPath || !core.keyPath) {
    problems.push({
      path: 'coreThing',
      rule: 'The configuration file is missing the CaPath, CertPath or KeyPath.',
    });
    return undefined;
  }
  const certs = join(root, 'certs');
  return {
    caPath: resolveIn(certs, core.caPath),
    certificatePath: resolveIn(certs, core.certPath),
    privateKeyPath: resolveIn(certs, core.keyPath),
  };
}

function fileUri(uri: string, path: string, problems: Problem[]): string {
  if (uri.startsWith('file:///')) {
    try {
      return fileURLToPath(uri);
    } catch {
      problems.push({ path, rule: `"${uri}" is no file URI of this machine` });
      return '';
    }
  }
  problems.push({ path, rule: `ErrUnknownURIScheme: must be file:///<absolute path>, but is "${uri}"` });
  return '';
}

function resolveIn(folder: string, path: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}

function unknownMembers(parsed: ConfigFile): string[] {
  const known: Array<[string, object, z.ZodObject]> = [
    ['', parsed, configFile],
    ['coreThing.', parsed.coreThing, coreThing],
    ['runtime.', parsed.runtime, runtime],
  ];
  if (parsed.crypto) known.push(['crypto.', parsed.crypto, crypto]);
  return known.flatMap(([prefix, value, schema]) =>
    Object.keys(value)
      .filter((key) => !(key in schema.shape))
      .map((key) => `${prefix}${key} is not a member that the core knows; it is ignored`),
  );
}
