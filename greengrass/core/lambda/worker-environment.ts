/** The environment that a worker sees: what V1's runtimes and SDKs read, and the variables of the group. Pure. */

import { SYSTEM_FUNCTIONS } from '../../model/arn.js';
import { EXECUTABLE_RUNTIME } from '../../model/function-config.js';
import type { NetworkProxy } from '../../model/network-proxy.js';
import { LOG_DESCRIPTORS } from '../isolation/worker-process.js';
import type { DeployedFunction } from './deployed-function.js';
import { proxyEnvironment } from './proxy-environment.js';
import type { WorkerPaths } from './runtime-command.js';

/** Highest IPC interface that any public SDK asks for. */
const INTERFACE_VERSION = '1.5';

export interface CoreFacts {
  readonly region: string;
  readonly thingName: string;
  readonly iotHost: string;
  readonly iotMqttPort: number;
  readonly iotHttpPort: number;
  readonly ggHost: string;
  readonly ggHttpPort: number;
  readonly ggMqttPort: number;
  readonly keepAliveS: number;
  readonly mqttMaxConnectionRetryIntervalS: number;
  readonly networkProxy?: NetworkProxy;
}

/** Variables of the group come first, so that they can't change the core's; paths are joined, the group's in front. */
export function workerEnvironment(
  deployed: DeployedFunction,
  facts: CoreFacts,
  { token, port, paths }: { token: string; port: number; paths: WorkerPaths },
): Record<string, string> {
  const own = deployed.environment;
  const inContainer = deployed.isolation === 'GreengrassContainer';
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    LANG: 'C.UTF-8',
    LOG_LEVEL: 'DEBUG',
    ...proxyEnvironment(facts.networkProxy, own),
    ...own,
    HOME: inContainer ? '/lambda' : paths.code,
    PYTHONPATH: join(own.PYTHONPATH, paths.code),
    NODE_PATH: join(
      own.NODE_PATH,
      `${paths.code}/`,
      `${paths.runtimes}/nodejs/node_modules`,
      `${paths.code}/node_modules`,
    ),
    ...(deployed.runtime === EXECUTABLE_RUNTIME
      ? { LD_LIBRARY_PATH: join(own.LD_LIBRARY_PATH, `${paths.runtimes}/executable`, paths.code) }
      : {}),
    AWS_CONTAINER_AUTHORIZATION_TOKEN: token,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://localhost:${port}/2016-11-01/credentialprovider/`,
    MY_FUNCTION_ARN: deployed.arn,
    SHADOW_FUNCTION_ARN: SYSTEM_FUNCTIONS.shadow,
    ROUTER_FUNCTION_ARN: SYSTEM_FUNCTIONS.router,
    SECRETS_MANAGER_FUNCTION_ARN: SYSTEM_FUNCTIONS.secrets,
    ENCODING_TYPE: deployed.encoding,
    GGC_MAX_INTERFACE_VERSION: INTERFACE_VERSION,
    GG_DAEMON_PORT: String(port),
    AWS_REGION: facts.region,
    AWS_DEFAULT_REGION: facts.region,
    AWS_IOT_THING_NAME: facts.thingName,
    AWS_GG_RESOURCE_PREFIX: inContainer ? '/' : `${deployed.resourcePrefix ?? paths.code}/`,
    AWS_GG_HTTP_ENDPOINT: `${facts.ggHost}:${facts.ggHttpPort}`,
    AWS_GG_MQTT_ENDPOINT: `${facts.ggHost}:${facts.ggMqttPort}`,
    AWS_IOT_HTTP_ENDPOINT: `${facts.iotHost}:${facts.iotHttpPort}`,
    AWS_IOT_MQTT_ENDPOINT: `${facts.iotHost}:${facts.iotMqttPort}`,
    AWS_GG_FIPS_MODE: 'false',
    GG_MQTT_CONNECT_MAX_RETRY_INTERVAL: String(facts.mqttMaxConnectionRetryIntervalS),
    GG_MQTT_CONNECT_TIMEOUT: '30',
    GG_MQTT_KEEP_ALIVE: String(facts.keepAliveS),
    ...Object.fromEntries(
      Object.entries(LOG_DESCRIPTORS).map(([level, fd]) => [`_GG_LOG_FD_${level}`, String(fd)]),
    ),
  };
}

function join(...parts: Array<string | undefined>): string {
  return parts.filter((part) => part !== undefined && part !== '').join(':');
}
