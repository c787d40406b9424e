/**
 * AWS's own clients, as the configuration wants them. This folder and the command line are all that loads the AWS SDK; a
 * cloud that is not hybrid never imports this folder.
 */
import { DescribeEndpointCommand, IoTClient } from '@aws-sdk/client-iot';
import { IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type { AwsConfig } from './config.js';
import { AwsError, type AwsServiceName, callAws } from './service-calls.js';
import type { AwsIdentity } from './signed-fetch.js';

// The versions we pin run on Node.js 20; the clients' advice to upgrade is not for operators.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

const CONNECTION_LIMIT_MS = 5_000;
const REQUEST_LIMIT_MS = 10_000;
const DEFAULT_MQTT_PORT = 8883;

type EndpointName = keyof AwsConfig['endpoints'];

export class AwsClients {
  readonly iot: IoTClient;
  readonly lambda: LambdaClient;
  readonly secretsManager: SecretsManagerClient;
  readonly #config: AwsConfig;
  readonly #closed = new AbortController();
  #data: Promise<IoTDataPlaneClient> | undefined;

  constructor(config: AwsConfig) {
    this.#config = config;
    this.iot = new IoTClient(this.#options('iot'));
    this.lambda = new LambdaClient(this.#options('lambda'));
    this.secretsManager = new SecretsManagerClient(this.#options('secretsManager'));
  }

  /** How messages name the service. */
  name(service: string, endpoint: EndpointName): AwsServiceName {
    return {
      service,
      where: this.#config.endpoints[endpoint] ?? this.#config.region,
      closed: this.#closed.signal,
    };
  }

  /** Host and port of AWS IoT's MQTT server for this account. Rejects with an AwsError. */
  async mqttAddress(): Promise<{ host: string; port: number }> {
    const command = new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' });
    const name = this.name('AWS IoT', 'iot');
    const { endpointAddress } = await callAws(name, 'DescribeEndpoint', 'iot:Data-ATS', (abortSignal) =>
      this.iot.send(command, { abortSignal }),
    );
    const match = /^([^:/]+)(?::(\d+))?$/.exec(endpointAddress ?? '');
    if (!match?.[1]) {
      const message = `${name.service} (${name.where}) gave "${endpointAddress}" as its endpoint, which is no host name`;
      throw new AwsError('refused', message, undefined);
    }
    return { host: match[1], port: Number(match[2] ?? DEFAULT_MQTT_PORT) };
  }

  /** The client of AWS IoT's data plane, whose address belongs to the account and is asked for once. */
  iotData(): Promise<IoTDataPlaneClient> {
    this.#data ??= this.#openData().catch((error: unknown) => {
      this.#data = undefined;
      throw error;
    });
    return this.#data;
  }

  /** The credentials of the moment, for services that no client here speaks to. */
  async identity(): Promise<AwsIdentity> {
    const { accessKeyId, secretAccessKey, sessionToken } = await this.lambda.config.credentials();
    return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
  }

  /** Ends what is under way. */
  destroy(): void {
    this.#closed.abort();
    for (const client of [this.iot, this.lambda, this.secretsManager]) client.destroy();
    this.#data?.then(
      (client) => client.destroy(),
      () => undefined,
    );
  }

  async #openData(): Promise<IoTDataPlaneClient> {
    const endpoint = this.#config.endpoints.iotData ?? `https://${(await this.mqttAddress()).host}`;
    return new IoTDataPlaneClient({ ...this.#options('iotData'), endpoint });
  }

  #options(name: EndpointName) {
    const { region, credentials, endpoints } = this.#config;
    const endpoint = endpoints[name];
    return {
      region,
      maxAttempts: 3,
      requestHandler: { connectionTimeout: CONNECTION_LIMIT_MS, requestTimeout: REQUEST_LIMIT_MS },
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials: identityOf(credentials) }),
    };
  }
}

function identityOf({ sessionToken, ...key }: NonNullable<AwsConfig['credentials']>) {
  return { ...key, ...(sessionToken === undefined ? {} : { sessionToken }) };
}
