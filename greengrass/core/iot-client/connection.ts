/**
 * The one MQTT connection to the cloud: mutual TLS, V1's client id, reconnects with back-off and jitter. Whoever uses
 * it registers subscriptions once; they are renewed after each reconnect. Nothing local ever waits for it.
 *
 *   stopped ──start──> connecting <──lost── connected
 *                          └──── CONNACK ──────^
 */
import type { TLSSocket } from 'node:tls';
import { type IConnackPacket, MqttClient } from 'mqtt';
import { backoffMs } from '../../lib/backoff.js';
import type { Logger } from '../../lib/log.js';
import type { NetworkProxy } from '../../model/network-proxy.js';
import { filterMatches } from '../../model/topic.js';
import type { Component, Health } from '../component.js';
import { Acknowledgements } from './acknowledgements.js';
import { dial } from './dial.js';
import { PublishError, type PublishFailure } from './publish-error.js';

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
  readonly proxy?: NetworkProxy;
  /** A persistent session: subscriptions with QoS 1, and the cloud keeps messages while the core is away. */
  readonly isPersistent?: boolean;
  /** First delay before a reconnect in ms. */
  readonly retryBaseMs?: number;
  readonly logger: Logger;
}

/** Return code of a SUBACK for a filter that was refused [MQTT-3.9.3-2]. */
const SUBACK_FAILURE = 128;
/** For name resolution, TCP, proxy and TLS together, and as long again for the CONNACK. */
const CONNECT_TIMEOUT_MS = 20_000;
/** So long a stop waits for answers that are due. */
const STOP_LIMIT_MS = 2000;
/** A connection that held so long, or carried a PUBACK, was a good one: the next back-off begins anew. */
const GOOD_AFTER_MS = 10_000;
/** Socket errors that come from the network between, not from the other side. */
const NETWORK_ERRORS = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN', 'ENOTCONN']);

type State = 'stopped' | 'connecting' | 'connected';

/** For an operator; times in ms since 1970. */
export interface ConnectionStatus {
  readonly state: State;
  readonly host: string;
  readonly port: number;
  /** Of this state. */
  readonly since: number;
  /** Why there is no connection, and when the next one is tried. */
  readonly reason?: string;
  readonly retryAt?: number;
}

export class IotConnection implements Component {
  readonly name = 'IotConnection';
  readonly #options: IotConnectionOptions;
  readonly #handlers = new Map<string, Set<CloudHandler>>();
  readonly #onConnected = new Set<() => void>();
  #state: State = 'stopped';
  #client: MqttClient | undefined;
  #dialing: AbortController | undefined;
  #retry: NodeJS.Timeout | undefined;
  #attempt = 0;
  #connectedAt = 0;
  /** Since when there is, or is no, connection. */
  #since = Date.now();
  #problem: { readonly reason: string; readonly retryAt: number } | undefined;
  readonly #acknowledgements: Acknowledgements;
  /** Unsubscribed while the cloud was away: a persistent session still has them. */
  readonly #stale = new Set<string>();
  /** SUBSCRIBEs of this connection that the cloud has not answered yet. */
  #unanswered = new Set<object>();
  readonly #whenSettled = new Set<() => void>();

  constructor(options: IotConnectionOptions) {
    this.#options = options;
    this.#acknowledgements = new Acknowledgements(options.operationTimeoutS * 1000, () => {
      const client = this.#client;
      if (client) this.#lost(client, 'timeout', 'operation timed out');
    });
  }

  get connected(): boolean {
    return this.#state === 'connected';
  }

  /** Resolves at once: the cloud may be away for weeks. */
  async start(): Promise<void> {
    if (this.#state !== 'stopped') return;
    this.#state = 'connecting';
    void this.#connect();
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    clearTimeout(this.#retry);
    this.#dialing?.abort();
    const client = this.#client;
    this.#client = undefined;
    // What has no PUBACK is sent again by the spooler; only an UNSUBSCRIBE is worth waiting for.
    const force = !client?.connected || this.#acknowledgements.size > 0;
    this.#acknowledgements.fail('lost', 'the connection was stopped');
    if (!client) return;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_LIMIT_MS);
    });
    await Promise.race([client.endAsync(force).catch(() => undefined), limit]);
    clearTimeout(timer);
    client.stream.destroy();
  }

  get status(): ConnectionStatus {
    const { host, port } = this.#options;
    return { state: this.#state, host, port, since: this.#since, ...this.#problem };
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
    this.#stale.delete(filter);
    if (this.connected) this.#subscribe([filter]);
  }

  /** Resolves once there is a connection and the cloud has answered all subscriptions: nothing that comes is missed. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenSettled.add(resolve);
      this.#lookIfSettled();
    });
  }

  #lookIfSettled(): void {
    if (!this.connected || this.#unanswered.size > 0) return;
    for (const resolve of this.#whenSettled) resolve();
    this.#whenSettled.clear();
  }

  unsubscribe(filter: string, handler: CloudHandler): void {
    const handlers = this.#handlers.get(filter);
    handlers?.delete(handler);
    if (!handlers || handlers.size > 0) return;
    this.#handlers.delete(filter);
    if (this.connected) this.#client?.unsubscribe(filter);
    else if (this.#options.isPersistent) this.#stale.add(filter);
  }

  /** Resolves with the PUBACK (QoS 1) or when written (QoS 0); rejects with PublishError. */
  publish(topic: string, payload: Buffer | string, qos: 0 | 1): Promise<void> {
    const client = this.#client;
    if (!client || !this.connected) {
      return Promise.reject(new PublishError('offline', 'not connected to the cloud'));
    }
    if (qos === 1) {
      return this.#acknowledgements.expect((done) => {
        client.publish(topic, payload, { qos }, (error) => {
          if (!error) this.#attempt = 0;
          done(error);
        });
      });
    }
    return new Promise((resolve, reject) => {
      client.publish(topic, payload, { qos }, (error) =>
        error ? reject(new PublishError('lost', error.message)) : resolve(),
      );
    });
  }

  async #connect(): Promise<void> {
    const dialing = new AbortController();
    this.#dialing = dialing;
    const timer = setTimeout(() => dialing.abort(new Error('took too long')), CONNECT_TIMEOUT_MS);
    try {
      const socket = await dial({ ...this.#options, signal: dialing.signal });
      if (this.#state === 'stopped' || dialing !== this.#dialing) socket.destroy();
      else this.#open(socket);
    } catch (error) {
      if (this.#state !== 'stopped' && dialing === this.#dialing) this.#retryLater((error as Error).message);
    } finally {
      clearTimeout(timer);
    }
  }

  #open(socket: TLSSocket): void {
    if (socket.destroyed) {
      this.#retryLater(
        socket.errored?.message ?? 'the other side closed the connection after the TLS handshake',
      );
      return;
    }
    const { clientId, keepAliveS, isPersistent = false } = this.#options;
    const client = new MqttClient(() => socket, {
      clientId,
      keepalive: keepAliveS,
      clean: !isPersistent,
      // Reconnects are ours, with jitter; the spooler, not the client, keeps what could not be sent.
      reconnectPeriod: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      queueQoSZero: false,
      resubscribe: false,
    });
    this.#client = client;
    let reason = 'connection closed';
    let failure: PublishFailure = 'cut';
    const failed = (error: Error) => {
      reason = error.message;
      const { code } = error as NodeJS.ErrnoException;
      if (code !== undefined && NETWORK_ERRORS.has(code)) failure = 'lost';
      if (/keepalive/i.test(error.message)) failure = 'lost';
    };
    socket.on('error', failed);
    client.on('error', failed);
    client.on('connect', (packet) => this.#established(client, packet));
    client.on('message', (topic, payload) => this.#receive(topic, payload));
    client.once('close', () => this.#lost(client, failure, reason));
  }

  #established(client: MqttClient, { sessionPresent }: IConnackPacket): void {
    if (client !== this.#client) return;
    const { host, port, clientId, logger } = this.#options;
    this.#state = 'connected';
    this.#connectedAt = Date.now();
    this.#since = this.#connectedAt;
    this.#problem = undefined;
    logger.info({ host, port, clientId }, 'Connected to the cloud.');
    if (sessionPresent) for (const filter of this.#stale) client.unsubscribe(filter);
    this.#stale.clear();
    this.#unanswered = new Set();
    this.#subscribe([...this.#handlers.keys()]);
    for (const listener of this.#onConnected) listener();
    this.#lookIfSettled();
  }

  #lost(client: MqttClient, failure: PublishFailure, reason: string): void {
    if (this.#state !== 'stopped' && client === this.#client) {
      this.#client = undefined;
      if (this.#state === 'connected') this.#since = Date.now();
      if (this.#state === 'connected' && Date.now() - this.#connectedAt >= GOOD_AFTER_MS) this.#attempt = 0;
      this.#retryLater(reason);
      this.#acknowledgements.fail(failure, reason);
    }
    client.end(true);
  }

  #retryLater(reason: string): void {
    const { host, port, maxRetryIntervalS, retryBaseMs = 500, logger } = this.#options;
    this.#state = 'connecting';
    const delayMs = backoffMs(this.#attempt++, { baseMs: retryBaseMs, maxMs: maxRetryIntervalS * 1000 });
    this.#problem = { reason, retryAt: Date.now() + delayMs };
    logger.warn({ host, port, reason, retryInMs: delayMs }, 'Not connected to the cloud.');
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#connect(), delayMs);
  }

  #subscribe(filters: string[]): void {
    const client = this.#client;
    if (!client || filters.length === 0) return;
    const unanswered = this.#unanswered;
    // AWS IoT takes eight topic filters in one SUBSCRIBE.
    for (let at = 0; at < filters.length; at += 8) {
      const some = filters.slice(at, at + 8);
      unanswered.add(some);
      client.subscribe(some, { qos: this.#options.isPersistent ? 1 : 0 }, (error, _subscriptions, packet) => {
        unanswered.delete(some);
        if (client === this.#client) this.#lookIfSettled();
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
