/**
 * The one MQTT connection to the cloud: mutual TLS, V1's client id, reconnects with back-off and jitter. Whoever uses
 * it registers subscriptions once; they are renewed after each reconnect. Nothing local ever waits for it.
 *
 *   stopped ──start──> connecting <──lost── connected
 *                          └──── CONNACK ──────^
 */
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { backoffMs } from '../../lib/backoff.js';
import type { Logger } from '../../lib/log.js';
import { filterMatches } from '../../model/topic.js';
import type { Component, Health } from '../component.js';

export type CloudHandler = (topic: string, payload: Buffer) => void;

export interface IotConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
  readonly keepAliveS: number;
  /** Upper bound of the reconnect back-off. */
  readonly maxRetryIntervalS: number;
  /** Time limit of publish, subscribe and unsubscribe. */
  readonly operationTimeoutS: number;
  readonly logger: Logger;
}

/** Return code of a SUBACK for a filter that was refused [MQTT-3.9.3-2]. */
const SUBACK_FAILURE = 128;

type State = 'stopped' | 'connecting' | 'connected';

export class IotConnection implements Component {
  readonly name = 'IotConnection';
  readonly #options: IotConnectionOptions;
  readonly #handlers = new Map<string, Set<CloudHandler>>();
  readonly #onConnected = new Set<() => void>();
  #state: State = 'stopped';
  #client: MqttClient | undefined;
  #retry: NodeJS.Timeout | undefined;
  #attempt = 0;

  constructor(options: IotConnectionOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#state === 'connected';
  }

  /** Resolves at once: the cloud may be away for weeks. */
  async start(): Promise<void> {
    if (this.#state !== 'stopped') return;
    this.#state = 'connecting';
    this.#connect();
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    clearTimeout(this.#retry);
    const client = this.#client;
    this.#client = undefined;
    if (!client) return;
    // The client would wait without end for an answer that is due; the spooler sends again what had none.
    const force = !client.connected || Object.keys(client.outgoing).length > 0;
    await client.endAsync(force).catch(() => undefined);
  }

  health(): Health {
    return this.#state === 'connected'
      ? { healthy: true }
      : { healthy: false, reason: `${this.#state} to the cloud` };
  }

  /** Called after each CONNACK, when the subscriptions are under way. */
  onConnected(listener: () => void): void {
    this.#onConnected.add(listener);
    if (this.connected) listener();
  }

  /** Takes effect at once where connected, and after every reconnect. */
  subscribe(filter: string, handler: CloudHandler): void {
    const handlers = this.#handlers.get(filter);
    if (handlers) {
      handlers.add(handler);
      return;
    }
    this.#handlers.set(filter, new Set([handler]));
    if (this.connected) this.#subscribe([filter]);
  }

  unsubscribe(filter: string, handler: CloudHandler): void {
    const handlers = this.#handlers.get(filter);
    handlers?.delete(handler);
    if (!handlers || handlers.size > 0) return;
    this.#handlers.delete(filter);
    if (this.connected) this.#client?.unsubscribe(filter);
  }

  /** Resolves with the PUBACK (QoS 1) or when written (QoS 0); rejects while offline and when time runs out. */
  publish(topic: string, payload: Buffer | string, qos: 0 | 1): Promise<void> {
    const client = this.#client;
    if (!client || !this.connected) return Promise.reject(new Error('not connected to the cloud'));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        // Without its PUBACK nobody knows; the connection is made anew, the sender sends again.
        reject(new Error('operation timed out'));
        client.stream.destroy();
      }, this.#options.operationTimeoutS * 1000);
      client.publish(topic, payload, { qos }, (error) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  #connect(): void {
    const { host, port, clientId, caPem, certPem, keyPem, keepAliveS, logger } = this.#options;
    const options: IClientOptions & { ALPNProtocols?: string[] } = {
      protocol: 'mqtts',
      host,
      port,
      clientId,
      ca: caPem,
      cert: certPem,
      key: keyPem,
      keepalive: keepAliveS,
      clean: true,
      // Reconnects are ours, with jitter; the spooler, not the client, keeps what could not be sent.
      reconnectPeriod: 0,
      connectTimeout: 20_000,
      queueQoSZero: false,
      resubscribe: false,
      ...(port === 443 ? { ALPNProtocols: ['x-amzn-mqtt-ca'] } : {}),
    };
    const client = mqtt.connect(options);
    this.#client = client;
    let lastError = 'connection closed';
    client.on('connect', () => {
      this.#state = 'connected';
      this.#attempt = 0;
      logger.info({ host, port, clientId }, 'Connected to the cloud.');
      this.#subscribe([...this.#handlers.keys()]);
      for (const listener of this.#onConnected) listener();
    });
    client.on('message', (topic, payload) => this.#receive(topic, payload));
    client.on('error', (error) => {
      lastError = error.message;
    });
    client.once('close', () => this.#lost(client, lastError));
  }

  #lost(client: MqttClient, reason: string): void {
    client.end(true);
    if (this.#state === 'stopped' || client !== this.#client) return;
    const { host, port, maxRetryIntervalS, logger } = this.#options;
    this.#state = 'connecting';
    const delayMs = backoffMs(this.#attempt++, { baseMs: 500, maxMs: maxRetryIntervalS * 1000 });
    logger.warn({ host, port, reason, retryInMs: delayMs }, 'Not connected to the cloud.');
    this.#retry = setTimeout(() => this.#connect(), delayMs);
  }

  #subscribe(filters: string[]): void {
    const client = this.#client;
    if (!client || filters.length === 0) return;
    // AWS IoT takes eight topic filters in one SUBSCRIBE.
    for (let at = 0; at < filters.length; at += 8) {
      const some = filters.slice(at, at + 8);
      client.subscribe(some, { qos: 0 }, (error, _subscriptions, packet) => {
        if (!error) return;
        const codes: readonly unknown[] = packet?.granted ?? [];
        const refused = some.filter((_filter, index) => codes[index] === SUBACK_FAILURE);
        this.#options.logger.warn(
          {
            filters: refused.length > 0 ? refused : some,
            reason: refused.length > 0 ? 'refused: does the policy of the core allow it?' : error.message,
          },
          'Subscription in the cloud failed.',
        );
      });
    }
  }

  #receive(topic: string, payload: Buffer): void {
    // A handler may have several filters that take the topic, and may change the subscriptions while it is called.
    const called = new Set<CloudHandler>();
    for (const [filter, handlers] of this.#handlers) {
      if (filterMatches(filter, topic, 'included')) for (const handler of handlers) called.add(handler);
    }
    for (const handler of called) handler(topic, payload);
  }
}
