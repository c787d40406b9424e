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
/** First wait after a failed upload, doubled with each: devices can't find this core until the cloud is told. */
const LOOK_AGAIN_MS = 2_000;
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
  #isStarted = false;
  #failures = 0;
  /** The looks so far, one after the other; never rejects. */
  #telling = Promise.resolve();

  constructor(options: IpDetectorOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#isStarted = true;
    this.#lookIn(LOOK_EVERY_MS);
  }

  async stop(): Promise<void> {
    this.#isStarted = false;
    clearTimeout(this.#timer);
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

  /** Uploads the addresses where they changed since the last upload. A failure is logged and tried again soon. */
  look(): Promise<void> {
    this.#telling = this.#telling.then(async () => {
      this.#failures = (await this.#look()) ? 0 : this.#failures + 1;
      const waitMs = this.#failures === 0 ? LOOK_EVERY_MS : LOOK_AGAIN_MS * 2 ** (this.#failures - 1);
      if (this.#isStarted) this.#lookIn(Math.min(waitMs, LOOK_EVERY_MS));
    });
    return this.#telling;
  }

  /** Resolves when the looks asked for so far are over, whatever came of them. */
  told(): Promise<void> {
    return this.#telling;
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.look(), ms).unref();
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

  /** Whether the cloud knows the addresses, or need not. */
  async #look(): Promise<boolean> {
    if (!this.#wanted) return true;
    const { service, thingName, port, logger, interfaces = networkInterfaces } = this.#options;
    const own = endpointsOf(toldAddresses(this.#wanted, interfaces()), port());
    const text = JSON.stringify(own);
    if (text === this.#told) return true;
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
      return true;
    } catch (error) {
      logger.warn({ reason: (error as Error).message }, 'Connectivity information could not be uploaded.');
      return false;
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
