/** AWS's own clients, pointed at a greengrass-cloud (or at AWS). gg speaks the public APIs and nothing else. */
import { GreengrassClient } from '@aws-sdk/client-greengrass';
import { IoTClient } from '@aws-sdk/client-iot';
import { IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { withExtensions } from './extensions.js';

// The versions we pin run on Node.js 20; the clients' advice to upgrade is not for gg's users.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

export interface ClientOptions {
  readonly endpoint: string;
  readonly region: string;
  /** Without the two keys the clients look in AWS's environment variables and in ~/.aws. */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
}

export interface Clients {
  readonly greengrass: GreengrassClient;
  readonly iot: IoTClient;
  readonly iotData: IoTDataPlaneClient;
  readonly lambda: LambdaClient;
  destroy(): void;
}

export function createClients({ endpoint, region, accessKeyId, secretAccessKey }: ClientOptions): Clients {
  const hasKeys = accessKeyId !== undefined && secretAccessKey !== undefined;
  const options = { endpoint, region, ...(hasKeys && { credentials: { accessKeyId, secretAccessKey } }) };
  const greengrass = withExtensions(new GreengrassClient(options));
  const iot = new IoTClient(options);
  const iotData = new IoTDataPlaneClient(options);
  const lambda = new LambdaClient(options);
  return {
    greengrass,
    iot,
    iotData,
    lambda,
    destroy: () => {
      for (const client of [greengrass, iot, iotData, lambda]) client.destroy();
    },
  };
}

/** The APIs' answers have every member optional; what `name` says is always there. */
export function present<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`the answer of the API lacks ${name}`);
  return value;
}
