/**
 * V1's GGIPDetector: tells the cloud at which addresses this core's MQTT server can be reached, so that devices find it
 * by discovery. Only where the group has the function; else connectivity is the operator's affair. What the operator
 * entered by hand stays, and comes first.
 */
import { networkInterfaces } from 'node:os';
import type { Logger } from '../../lib/log.js';
import type { Component, Health } from '../component.js';
import { type ConnectivityEndpoint, type ServiceClient, ServiceError } from '../service-client.js';
import { MAX_ADDRESSES, toldAddresses, type Wanted } from './addresses.js';

export { hostAddresses } from './addresses.js';

const LOOK_EVERY_MS = 60_000;
/** Ids of our own entries; all others are somebody's by hand. */
const OWN_ID = /^(AUTOIP_|localIP_|localhost_)/;

export interface IpDetectorOptions {
  readonly thingName: string;
  readonly service: Pick<ServiceClient, 'connectivityInfo' | 'updateConnectivityInfo'>;
  readonly port: () => number;
  readonly logger: Logger;
  /** For tests. */
  readonly interfaces?: typeof networkInterfaces;
}

export class IpDetector implements Component {
  readonly name = 'GGIPDetector';
  readonly #options: IpDetectorOptions;
  #wanted: Wanted | undefined;
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
    this.#wanted = undefined;
    await this.#telling;
  }

  health(): Health {
    return { healthy: true };
  }

  /** `variables` of the function where the group has it, else undefined: `includeLoopback`, `includeLinkLocal`, `includeContainers` = `true`. */
  configure(variables: Readonly<Record<string, string>> | undefined): void {
    this.#wanted = variables && {
      loopback: variables.includeLoopback === 'true',
      linkLocal: variables.includeLinkLocal === 'true',
      containers: variables.includeContainers === 'true',
    };
    if (!variables) this.#told = '';
  }

  /** Uploads the addresses where they changed since the last upload; a failure is tried again at the next look. */
  look(): Promise<void> {
    this.#telling ??= this.#look().finally(() => {
      this.#telling = undefined;
    });
    return this.#telling;
  }

  /** Nothing where the cloud has nothing, or the core's policy does not let it read. */
  async #stored(): Promise<ConnectivityEndpoint[]> {
    const { service, thingName } = this.#options;
    try {
      return await service.connectivityInfo(thingName);
    } catch (error) {
      if (error instanceof ServiceError && !error.recoverable) return [];
      throw error;
    }
  }

  async #look(): Promise<void> {
    if (!this.#wanted) return;
    const { service, thingName, port, logger, interfaces = networkInterfaces } = this.#options;
    const own = endpointsOf(toldAddresses(this.#wanted, interfaces()), port());
    const text = JSON.stringify(own);
    if (text === this.#told) return;
    try {
      const manual = (await this.#stored()).filter(({ Id = '' }) => !OWN_ID.test(Id));
      const taken = new Set(manual.map(({ HostAddress }) => HostAddress));
      const endpoints = [...manual, ...own.filter(({ HostAddress }) => !taken.has(HostAddress))];
      await service.updateConnectivityInfo(thingName, endpoints.slice(0, MAX_ADDRESSES));
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
