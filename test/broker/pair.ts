/** A server with two devices, lamp and fan, for the tests of one file: cleaned up after each test, stopped after the last. */
import { BrokerBench, makeDevice, type TestDevice } from './bench.js';
import { type ConnectOptions, RawClient } from './raw-client.js';

export class Pair {
  readonly #clients: RawClient[] = [];

  constructor(
    readonly bench: BrokerBench,
    readonly lamp: TestDevice,
    readonly fan: TestDevice,
  ) {}

  /** TLS only, nothing is sent. */
  async open(device = this.lamp): Promise<RawClient> {
    return this.#keep(await RawClient.open(this.bench, device));
  }

  /** CONNECT is sent, CONNACK has come. */
  async connected(device = this.lamp, options: ConnectOptions = {}): Promise<RawClient> {
    return this.#keep(await RawClient.connected(this.bench, device, options));
  }

  /** As the router does it with a message from the cloud. */
  deliver(topic: string, payload: string | Buffer, qos: 0 | 1 = 0, device = this.lamp): boolean {
    const message = { source: 'cloud', topic, payload: Buffer.from(payload), qos };
    return this.bench.server.endpoint.deliver(message, device.arn);
  }

  async clear(): Promise<void> {
    for (const { socket } of this.#clients.splice(0)) socket.destroy();
    await this.bench.clear();
    // Who is in neither of two groups is forgotten: each test begins without sessions.
    this.bench.setGroup();
    this.bench.setGroup();
    this.bench.setGroup(this.lamp, this.fan);
  }

  #keep(client: RawClient): RawClient {
    this.#clients.push(client);
    return client;
  }
}

/** Call it at the top of a test file; the answer gives the pair once the tests run. */
export function usePair(sessionsPath?: string): () => Pair {
  let pair: Pair | undefined;
  beforeAll(async () => {
    const [bench, lamp, fan] = await Promise.all([
      BrokerBench.start(sessionsPath),
      makeDevice('lamp'),
      makeDevice('fan'),
    ]);
    pair = new Pair(bench, lamp, fan);
    bench.setGroup(lamp, fan);
  });
  afterEach(() => pair?.clear());
  afterAll(() => pair?.bench.stop());
  return () => {
    if (!pair) throw new Error('only within a test');
    return pair;
  };
}
