/**
 * V1's telemetry agent: adds up what happens, aggregates every hour, publishes every day with QoS 0. It is on unless the
 * cloud's runtime configuration switches it off, which needs no deployment. Off, nothing is counted, kept or sent.
 */
import type { Logger } from '../../lib/log.js';
import {
  SPOOLER_NAMESPACE,
  SYSTEM_NAMESPACE,
  type TelemetryMessage,
  type TelemetryMetric,
  type TelemetryPoint,
  type TelemetrySwitch,
  telemetryTopic,
} from '../../model/telemetry.js';
import type { Component, Health } from '../component.js';
import { followConfiguration, type TelemetryLink } from './configuration-shadow.js';
import { SystemMeter } from './system-metrics.js';
import { initialState, TelemetryFile, type TelemetryState } from './telemetry-state.js';
import { Totals } from './totals.js';

/** V1 keeps telemetry for seven days at most: hours of a core that is away so long. */
const MOST_AGGREGATIONS = 7 * 24;
/** And with many functions not more than so many points: about 400 KB on the disk. */
const MOST_POINTS = 2000;
/** Points of one message: well below AWS IoT's 128 KB, however many metrics they have. */
const MESSAGE_POINTS = 150;
/** Timers don't go further, and a clock may be set meanwhile. */
const LONGEST_WAIT_MS = 60 * 60 * 1000;

export interface TelemetryAgentOptions {
  readonly thingName: string;
  readonly writeDirectory: string;
  readonly link: TelemetryLink;
  readonly aggregateIntervalMs: number;
  readonly publishIntervalMs: number;
  /** Messages for the cloud that the spooler has dropped since the start. */
  readonly droppedMessages: () => number;
  readonly logger: Logger;
}

export class TelemetryAgent implements Component {
  readonly name = 'TelemetryAgent';
  readonly #options: TelemetryAgentOptions;
  readonly #file: TelemetryFile;
  readonly #meter = new SystemMeter();
  #state: TelemetryState;
  #totals = new Totals();
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #isRunning = false;
  #publishing: Promise<void> | undefined;

  constructor(options: TelemetryAgentOptions) {
    this.#options = options;
    this.#file = new TelemetryFile(options.writeDirectory);
    this.#state = initialState(Date.now());
  }

  async start(): Promise<void> {
    const { thingName, link, logger } = this.#options;
    try {
      this.#state = this.#file.load(Date.now());
    } catch (error) {
      logger.warn({ reason: (error as Error).message }, 'Telemetry begins anew: its file could not be read.');
    }
    this.#totals.load(this.#state.totals);
    this.#isRunning = true;
    followConfiguration({
      ...{ thingName, link, logger },
      current: () => this.#state.telemetry,
      apply: (wanted) => this.#switch(wanted),
    });
    // What was due while the cloud was away.
    link.onConnected(() => this.#tick());
    this.#tick();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    if (!this.#isRunning) return;
    this.#isRunning = false;
    await this.#publishing;
    this.#save();
  }

  health(): Health {
    return { healthy: true };
  }

  /** Something happened to a function. */
  count(functionArn: string, metric: TelemetryMetric): void {
    if (this.#state.telemetry === 'On') this.#totals.add(functionArn, metric, 1);
  }

  #switch(telemetry: TelemetrySwitch): void {
    const now = Date.now();
    this.#state = { ...this.#state, telemetry, waiting: [], aggregatedAtMs: now, publishedAtMs: now };
    this.#dropped = this.#options.droppedMessages();
    this.#save();
    this.#options.logger.info({ telemetry }, 'Telemetry was switched.');
    this.#tick();
  }

  /** Does what is due, and comes again when the next is. */
  #tick(): void {
    clearTimeout(this.#timer);
    if (!this.#isRunning || this.#state.telemetry === 'Off') return;
    const { aggregateIntervalMs, publishIntervalMs, link } = this.#options;
    const now = Date.now();
    this.#forgiveClock(now);
    if (now - this.#state.aggregatedAtMs >= aggregateIntervalMs) this.#aggregate(now);
    const isDue = now - this.#state.publishedAtMs >= publishIntervalMs;
    if (isDue && link.connected) {
      this.#publishing ??= this.#publish(now).finally(() => {
        this.#publishing = undefined;
      });
    }
    const nextMs = Math.min(
      this.#state.aggregatedAtMs + aggregateIntervalMs,
      // Where the cloud is away, the next connect comes here.
      isDue ? Number.POSITIVE_INFINITY : this.#state.publishedAtMs + publishIntervalMs,
    );
    const wait = Math.min(LONGEST_WAIT_MS, Math.max(1, nextMs - now));
    this.#timer = setTimeout(() => this.#tick(), wait).unref();
  }

  /** A clock that was set back would keep telemetry silent until it has caught up. */
  #forgiveClock(now: number): void {
    const { aggregatedAtMs, publishedAtMs } = this.#state;
    if (aggregatedAtMs <= now && publishedAtMs <= now) return;
    this.#state.aggregatedAtMs = Math.min(aggregatedAtMs, now);
    this.#state.publishedAtMs = Math.min(publishedAtMs, now);
  }

  #aggregate(now: number): void {
    const { SystemMemUsage, CpuUsage, TotalNumberOfFDs } = this.#meter.read();
    this.#totals.add(SYSTEM_NAMESPACE, 'SystemMemUsage', SystemMemUsage);
    this.#totals.add(SYSTEM_NAMESPACE, 'CpuUsage', CpuUsage);
    this.#totals.add(SYSTEM_NAMESPACE, 'TotalNumberOfFDs', TotalNumberOfFDs);
    const dropped = this.#options.droppedMessages();
    this.#totals.add(SPOOLER_NAMESPACE, 'DroppedMessageCount', Math.max(0, dropped - this.#dropped));
    this.#dropped = dropped;
    const waiting = [...this.#state.waiting, ...this.#totals.points(Math.floor(now / 1000))];
    this.#state = { ...this.#state, aggregatedAtMs: now, waiting: bounded(waiting) };
    this.#save();
  }

  /** QoS 0, as V1: what was handed to the connection is gone, however it ends. */
  async #publish(now: number): Promise<void> {
    const { thingName, link, logger } = this.#options;
    const points = this.#state.waiting;
    try {
      for (let start = 0; start < points.length; start += MESSAGE_POINTS) {
        const ADP = points.slice(start, start + MESSAGE_POINTS);
        const message: TelemetryMessage = { ThingName: thingName, Schema: '2020-06-30', ADP };
        await link.publish(telemetryTopic(thingName), JSON.stringify(message), 0);
      }
    } catch (error) {
      logger.debug({ reason: (error as Error).message }, 'Telemetry could not be published.');
      return;
    }
    if (this.#state.telemetry === 'Off') return;
    const sent = new Set(points);
    const waiting = this.#state.waiting.filter((point) => !sent.has(point));
    this.#state = { ...this.#state, publishedAtMs: now, waiting };
    this.#save();
    this.#tick();
  }

  #save(): void {
    this.#state.totals = this.#totals.points(0);
    try {
      this.#file.save(this.#state);
    } catch (error) {
      this.#options.logger.warn({ reason: (error as Error).message }, 'Telemetry could not be kept.');
    }
  }
}

/** The newest that fit. */
function bounded(points: readonly TelemetryPoint[]): TelemetryPoint[] {
  const times = [...new Set(points.map(({ TS }) => TS))].slice(-MOST_AGGREGATIONS);
  const [oldest = 0] = times;
  return points.filter(({ TS }) => TS >= oldest).slice(-MOST_POINTS);
}
