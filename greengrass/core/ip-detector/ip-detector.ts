/**
 * V1's GGIPDetector: tells the cloud at which addresses this core's MQTT server can be reached, so that devices find it
 * by discovery. Only where the group has the function; else connectivity is the operator's affair.
 */
import { networkInterfaces } from 'node:os';
import type { Logger } from '../../lib/log.js';
import type { Component, Health } from '../component.js';
import type { ConnectivityEndpoint, ServiceClient } from '../service-client.js';

/** The service keeps ten endpoints of a core. */
const MAX_ENDPOINTS = 10;
const LOOK_EVERY_MS = 60_000;

export interface IpDetectorOptions {
  readonly thingName: string;
  readonly service: Pick<ServiceClient, 'updateConnectivityInfo'>;
  readonly port: () => number;
  readonly logger: Logger;
}

/** Addresses of this host: those of the network first, loopback last; link-local ones are left out. */
export function hostAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outer = all
    .filter(({ internal, address }) => !internal && !/^fe80:/i.test(address))
    .map(({ address }) => address);
  const inner = all.filter(({ internal }) => internal).map(({ address }) => address);
  return [...new Set([...outer, ...inner])].slice(0, MAX_ENDPOINTS);
}

export class IpDetector implements Component {
  readonly name = 'GGIPDetector';
  readonly #options: IpDetectorOptions;
  #enabled = false;
  #timer: NodeJS.Timeout | undefined;
  #told = '';
  #telling: Promise<void> | undefined;

  constructor(options: IpDetectorOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#timer ??= setInterval(() => void this.look(), LOOK_EVERY_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#enabled = false;
    await this.#telling;
  }

  health(): Health {
    return { healthy: true };
  }

  /** Whether the group has the function. */
  setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
    if (!enabled) this.#told = '';
  }

  /** Uploads the addresses where they changed since the last upload; a failure is tried again at the next look. */
  look(): Promise<void> {
    this.#telling ??= this.#look().finally(() => {
      this.#telling = undefined;
    });
    return this.#telling;
  }

  async #look(): Promise<void> {
    if (!this.#enabled) return;
    const { service, thingName, port, logger } = this.#options;
    const endpoints = endpointsOf(hostAddresses(), port());
    const text = JSON.stringify(endpoints);
    if (text === this.#told) return;
    try {
      await service.updateConnectivityInfo(thingName, endpoints);
      this.#told = text;
      logger.info(
        { endpoints: endpoints.map(({ HostAddress }) => HostAddress) },
        'Connectivity information uploaded.',
      );
    } catch (error) {
      logger.warn({ reason: (error as Error).message }, 'Connectivity information could not be uploaded.');
    }
  }
}

function endpointsOf(addresses: readonly string[], port: number): ConnectivityEndpoint[] {
  return addresses.map((address, index) => ({
    Id: address === '127.0.0.1' ? 'localhost_127.0.0.1_0' : `AUTOIP_${address}_${index}`,
    HostAddress: address,
    PortNumber: port,
    Metadata: '',
  }));
}
