/**
 * The certificate of the local MQTT server (V1's GGDeviceCertificateManager): a key made here, signed by the group CA in
 * the cloud, kept under `var/state/server`, so that the server starts without the cloud. Renewed in the last quarter of
 * its life, and when the group, its CA or the hosts change.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { checkJson, z } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import {
  certificateId,
  createCertificateRequest,
  createKeyPair,
  expiryOf,
  type KeyPairPem,
  matchesPrivateKey,
} from '../../lib/x509.js';
import type { Component, Health } from '../component.js';
import type { ServiceClient } from '../service-client.js';

export interface ServerCredentials {
  readonly certPem: string;
  readonly keyPem: string;
  readonly caPem: string;
}

/** What the certificate was asked for. */
const made = z.object({ groupId: z.string(), hosts: z.array(z.string()), issuedAt: z.string() });
type Made = z.output<typeof made>;

export interface ServerCertificateOptions {
  readonly writeDirectory: string;
  readonly thingName: string;
  readonly service: Pick<ServiceClient, 'createServerCertificate'>;
  /** The operator's own key (V1: MQTTServerCertificate); absent: one is made here. */
  readonly ownKeyPath?: string;
  readonly logger: Logger;
  readonly now?: () => number;
}

const CHECK_EVERY_MS = 60_000;

export class ServerCertificate implements Component {
  readonly name = 'GGDeviceCertificateManager';
  readonly #options: ServerCertificateOptions;
  readonly #folder: string;
  readonly #listeners = new Set<() => void>();
  #wanted: { groupId: string; hosts: string[] } | undefined;
  #authorityId: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;

  constructor(options: ServerCertificateOptions) {
    this.#options = options;
    this.#folder = join(options.writeDirectory, 'var', 'state', 'server');
  }

  async start(): Promise<void> {
    this.#timer ??= setInterval(() => void this.#renewIfDue(), CHECK_EVERY_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#renewing;
  }

  health(): Health {
    const stored = this.load();
    if (!stored) return { healthy: false, reason: 'there is no server certificate yet' };
    const left = expiryOf(stored.certPem).getTime() - this.#now();
    return left > 0 ? { healthy: true } : { healthy: false, reason: 'the server certificate has expired' };
  }

  /** Called after the certificate was replaced. */
  onChanged(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** What is on disk, or undefined where something of it is missing. */
  load(): ServerCredentials | undefined {
    try {
      const credentials = {
        certPem: this.#read('server.crt'),
        keyPem: this.#readKey(),
        caPem: this.#read('ca.crt'),
      };
      return matchesPrivateKey(credentials.certPem, createPrivateKey(credentials.keyPem))
        ? credentials
        : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Makes sure that a certificate for this group and these hosts is there, signed by the named CA where one is named.
   * Rejects where the cloud can't be asked.
   */
  async ensure(groupId: string, hosts: readonly string[], authorityId?: string): Promise<void> {
    this.#wanted = { groupId, hosts: [...hosts].sort() };
    this.#authorityId = authorityId;
    if (this.#isDue()) await this.#renew();
  }

  /** V1's reset deletes it. */
  forget(): void {
    this.#wanted = undefined;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #isDue(): boolean {
    const stored = this.load();
    const was = this.#madeFor();
    if (!stored || !was || !this.#wanted) return true;
    if (was.groupId !== this.#wanted.groupId) return true;
    if (this.#authorityId !== undefined && certificateId(stored.caPem) !== this.#authorityId) return true;
    if (this.#wanted.hosts.some((host) => !was.hosts.includes(host))) return true;
    const expiry = expiryOf(stored.certPem).getTime();
    const issued = Date.parse(was.issuedAt);
    return this.#now() > expiry - (expiry - issued) / 4;
  }

  async #renewIfDue(): Promise<void> {
    if (!this.#wanted || this.#renewing || !this.#isDue()) return;
    this.#renewing = this.#renew()
      .catch((error: Error) =>
        this.#options.logger.warn(
          { reason: error.message },
          'The server certificate could not be renewed; it is tried again.',
        ),
      )
      .finally(() => {
        this.#renewing = undefined;
      });
    await this.#renewing;
  }

  async #renew(): Promise<void> {
    const { service, thingName, logger } = this.#options;
    const wanted = this.#wanted;
    if (!wanted) return;
    const keys = await this.#keys();
    const csr = createCertificateRequest(keys, [['CN', thingName]], wanted.hosts);
    const { certificatePem, caPem, expiresAt } = await service.createServerCertificate(wanted.groupId, csr);
    if (!matchesPrivateKey(certificatePem, createPrivateKey(keys.privateKeyPem))) {
      throw new Error('the service signed a certificate for another key');
    }
    if (this.#options.ownKeyPath === undefined)
      writeFileAtomic(join(this.#folder, 'server.key'), keys.privateKeyPem, 0o600);
    writeFileAtomic(join(this.#folder, 'ca.crt'), caPem, 0o644);
    writeFileAtomic(join(this.#folder, 'server.crt'), certificatePem, 0o644);
    const note: Made = { ...wanted, issuedAt: new Date(this.#now()).toISOString() };
    writeFileAtomic(join(this.#folder, 'server.json'), JSON.stringify(note), 0o644);
    logger.info({ groupId: wanted.groupId, hosts: wanted.hosts, expiresAt }, 'Server certificate obtained.');
    for (const listener of this.#listeners) listener();
  }

  async #keys(): Promise<KeyPairPem> {
    if (this.#options.ownKeyPath === undefined) return createKeyPair();
    const key = createPrivateKey(this.#readKey());
    return {
      privateKeyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
      publicKeyPem: createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString(),
    };
  }

  #madeFor(): Made | undefined {
    try {
      return checkJson(made, this.#read('server.json'), 'server.json');
    } catch {
      return undefined;
    }
  }

  #readKey(): string {
    return this.#options.ownKeyPath === undefined
      ? this.#read('server.key')
      : readFileSync(this.#options.ownKeyPath, 'utf8');
  }

  #read(name: string): string {
    return readFileSync(join(this.#folder, name), 'utf8');
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }
}
