/**
 * A simulated Greengrass device, as small as a real one: discovery over HTTPS with its certificate, then MQTT to the
 * core that discovery named, trusting the group CA that discovery gave. Nothing else tells it where the core is.
 */
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { checkJson, z } from '../lib/check.js';

/** What discovery answers; the letters are V1's. */
const discoveryDocument = z.object({
  GGGroups: z.array(
    z.object({
      GGGroupId: z.string(),
      Cores: z.array(
        z.object({
          thingArn: z.string(),
          Connectivity: z.array(z.object({ HostAddress: z.string(), PortNumber: z.number() })),
        }),
      ),
      CAs: z.array(z.string()),
    }),
  ),
});
export type Discovery = z.output<typeof discoveryDocument>;

export interface DeviceCredentials {
  readonly thingName: string;
  readonly certPem: string;
  readonly keyPem: string;
  /** CA of the cloud. */
  readonly caPem: string;
}

export interface Received {
  readonly topic: string;
  readonly payload: Buffer;
}

/** Credentials as `gg device create --out DIR` writes them. */
export function readCredentials(thingName: string, folder: string): DeviceCredentials {
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  return {
    thingName,
    certPem: read(`${thingName}.cert.pem`),
    keyPem: read(`${thingName}.private.key`),
    caPem: read('root.ca.pem'),
  };
}

/** `GET /greengrass/discover/thing/<name>` with mutual TLS. Rejects on any status but 200. */
export function discover(credentials: DeviceCredentials, host: string, port: number): Promise<Discovery> {
  const path = `/greengrass/discover/thing/${encodeURIComponent(credentials.thingName)}`;
  return new Promise((resolve, reject) => {
    const { certPem: cert, keyPem: key, caPem: ca } = credentials;
    const call = request({ host, port, path, cert, key, ca, agent: false, timeout: 10_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        if (response.statusCode !== 200) {
          reject(new Error(`discovery of ${credentials.thingName} answered ${response.statusCode}: ${text}`));
          return;
        }
        try {
          resolve(checkJson(discoveryDocument, text, `discovery of ${credentials.thingName}`));
        } catch (error) {
          reject(error);
        }
      });
    });
    call.on('timeout', () => call.destroy(new Error(`discovery at ${host}:${port} timed out`)));
    call.on('error', reject);
    call.end();
  });
}

/** Resolves when connected; rejects where it is refused, also by a server that just closes the connection. */
export function connectOnce(options: IClientOptions): Promise<MqttClient> {
  const client = mqtt.connect({ ...options, reconnectPeriod: 0 });
  return new Promise((resolve, reject) => {
    const fail = (error?: Error) => {
      client.end(true);
      reject(error ?? new Error('the server closed the connection'));
    };
    const closed = () => fail();
    client.once('error', fail);
    client.once('close', closed);
    client.once('connect', () => {
      client.off('error', fail);
      client.off('close', closed);
      resolve(client);
    });
  });
}

/** A connected device. Keeps what it received, so that a hop can be checked after the fact. */
export class Device {
  readonly received: Received[] = [];
  readonly #listeners = new Set<() => void>();

  private constructor(
    readonly thingName: string,
    readonly client: MqttClient,
  ) {
    client.on('message', (topic, payload) => {
      this.received.push({ topic, payload });
      for (const listener of this.#listeners) listener();
    });
  }

  /** Connects to an MQTT server with mutual TLS; the client id is the thing name. */
  static async connect(
    { thingName, certPem, keyPem }: DeviceCredentials,
    server: { host: string; port: number; caPem: string | string[] },
  ): Promise<Device> {
    const client = await connectOnce({
      protocol: 'mqtts',
      host: server.host,
      port: server.port,
      ca: server.caPem,
      cert: certPem,
      key: keyPem,
      clientId: thingName,
      reconnectPeriod: 0,
      connectTimeout: 10_000,
    });
    client.on('error', () => {
      // The connection is gone; whoever waits for a message of it runs into its own time limit.
    });
    return new Device(thingName, client);
  }

  /** Tries the endpoints that discovery gave, in order, as V1's SDKs do. */
  static async connectToCore(credentials: DeviceCredentials, discovery: Discovery): Promise<Device> {
    const failures: string[] = [];
    for (const group of discovery.GGGroups) {
      for (const { HostAddress: host, PortNumber: port } of group.Cores.flatMap(
        (core) => core.Connectivity,
      )) {
        try {
          return await Device.connect(credentials, { host, port, caPem: group.CAs });
        } catch (error) {
          failures.push(`${host}:${port}: ${(error as Error).message}`);
        }
      }
    }
    throw new Error(
      `${credentials.thingName} could not connect to its core (${failures.join('; ') || 'no endpoint'})`,
    );
  }

  async subscribe(...filters: string[]): Promise<void> {
    await this.client.subscribeAsync(filters, { qos: 1 });
  }

  async publish(topic: string, payload: string | Buffer): Promise<void> {
    await this.client.publishAsync(topic, payload, { qos: 1 });
  }

  /** The first message on the topic that fits, whether it came already or is still to come. */
  async message(
    topic: string,
    fits: (payload: Buffer) => boolean = () => true,
    timeoutMs = 15_000,
  ): Promise<Buffer> {
    const find = () => this.received.find((message) => message.topic === topic && fits(message.payload));
    const found = find();
    if (found) return found.payload;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#listeners.delete(listener);
        const topics = [...new Set(this.received.map((message) => message.topic))].join(', ') || 'nothing';
        reject(
          new Error(
            `${this.thingName} got no message on ${topic} within ${timeoutMs} ms (it got: ${topics})`,
          ),
        );
      }, timeoutMs);
      const listener = () => {
        const message = find();
        if (!message) return;
        clearTimeout(timer);
        this.#listeners.delete(listener);
        resolve(message.payload);
      };
      this.#listeners.add(listener);
    });
  }

  async close(): Promise<void> {
    await this.client.endAsync(true);
  }
}
