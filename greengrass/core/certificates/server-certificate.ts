/**
 * The certificate of the local MQTT server (V1's GGDeviceCertificateManager): a key made here, signed by the group CA in
 * the cloud or by an intermediate CA of this core (delegated-authority.ts), kept under `var/state/server`, so that the
 * server starts without the cloud. Renewed in the last quarter of its life, and when the group, its CA or the hosts change.
 */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { checkJson, z } from '../../lib/check.js';
import { certifiableHosts } from '../../lib/host-names.js';
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
import { DelegatedAuthority, type Issued } from './delegated-authority.js';

export interface ServerCredentials {
  /** The server's certificate first; an intermediate CA behind it where there is one. */
  readonly certPem: string;
  readonly keyPem: string;
  readonly caPem: string;
}

/** What the certificate was asked for. */
const made = z.object({
  groupId: z.string(),
  hosts: z.array(z.string()),
  issuedAt: z.string(),
  /** Who was to sign it; the cloud did where it delegates no CA. */
  issuer: z.enum(['cloud', 'core']).default('cloud'),
});
type Made = z.output<typeof made>;

export interface ServerCertificateOptions {
  readonly writeDirectory: string;
  readonly thingName: string;
  readonly service: Pick<
    ServiceClient,
    'createServerCertificate' | 'createIntermediate' | 'connectivityInfo'
  >;
  /** `core`: by an intermediate CA on this device, as far as the cloud delegates one. Absent: `cloud`. */
  readonly issuer?: 'cloud' | 'core';
  /** Names and addresses of this host; looked at again every minute. Absent: those given to `ensure` stay. */
  readonly hosts?: () => readonly string[];
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
  readonly #authority: DelegatedAuthority;
  readonly #listeners = new Set<() => void>();
  #wanted: { groupId: string; hosts: string[] } | undefined;
  #authorityId: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: ServerCertificateOptions) {
    this.#options = options;
    this.#folder = join(options.writeDirectory, 'var', 'state', 'server');
    const { thingName, service, logger } = options;
    this.#authority = new DelegatedAuthority({
      ...{ folder: this.#folder, thingName, service, logger },
      now: () => this.#now(),
    });
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

  /**
   * The addresses of this core that discovery gives have changed, perhaps by hand: a certificate that lacks one of them is
   * renewed. Never rejects.
   */
  addressesChanged(): Promise<void> {
    // One look at a time, whoever writes notices and how often.
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    if (!this.#wanted) return;
    const { service, thingName, logger } = this.#options;
    try {
      const given = (await service.connectivityInfo(thingName)).flatMap((one) => one.HostAddress ?? []);
      const stored = this.load();
      if (!stored || certifiableHosts(given).every((host) => isFor(stored.certPem, host))) return;
      logger.info({ hosts: given }, 'The server certificate lacks an address of this core; it is renewed.');
      this.#authority.addHosts(given);
      await this.#renewing;
      await this.#tryToRenew();
    } catch (error) {
      logger.warn({ reason: (error as Error).message }, 'The addresses of this core could not be asked for.');
    }
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
    if (was.groupId !== this.#wanted.groupId || was.issuer !== this.#issuer) return true;
    if (this.#authorityId !== undefined && certificateId(stored.caPem) !== this.#authorityId) return true;
    if (this.#wanted.hosts.some((host) => !was.hosts.includes(host))) return true;
    const expiry = expiryOf(stored.certPem).getTime();
    const issued = Date.parse(was.issuedAt);
    return this.#now() > expiry - (expiry - issued) / 4;
  }

  async #renewIfDue(): Promise<void> {
    if (!this.#wanted || this.#renewing) return;
    const hosts = this.#options.hosts?.();
    if (hosts) this.#wanted = { ...this.#wanted, hosts: [...hosts].sort() };
    if (this.#isDue()) await this.#tryToRenew();
  }

  async #tryToRenew(): Promise<void> {
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
    const { certificatePem, caPem, expiresAt } =
      (await this.#issueHere(keys)) ??
      (await service.createServerCertificate(
        wanted.groupId,
        createCertificateRequest(keys, [['CN', thingName]], wanted.hosts),
      ));
    if (!matchesPrivateKey(certificatePem, createPrivateKey(keys.privateKeyPem))) {
      throw new Error('the service signed a certificate for another key');
    }
    if (this.#options.ownKeyPath === undefined)
      writeFileAtomic(join(this.#folder, 'server.key'), keys.privateKeyPem, 0o600);
    writeFileAtomic(join(this.#folder, 'ca.crt'), caPem, 0o644);
    writeFileAtomic(join(this.#folder, 'server.crt'), certificatePem, 0o644);
    const issuedAt = new Date(this.#now()).toISOString();
    const note: Made = { ...wanted, issuedAt, issuer: this.#issuer };
    writeFileAtomic(join(this.#folder, 'server.json'), JSON.stringify(note), 0o644);
    logger.info({ groupId: wanted.groupId, hosts: wanted.hosts, expiresAt }, 'Server certificate obtained.');
    for (const listener of this.#listeners) listener();
  }

  /** Undefined where the cloud is to sign. */
  async #issueHere({ publicKeyPem }: KeyPairPem): Promise<Issued | undefined> {
    if (this.#issuer !== 'core' || !this.#wanted) return undefined;
    return this.#authority.issue({ ...this.#wanted, publicKeyPem, authorityId: this.#authorityId });
  }

  get #issuer(): 'cloud' | 'core' {
    return this.#options.issuer ?? 'cloud';
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

/** Whether clients that connect to the host take the certificate for its own. */
function isFor(certPem: string, host: string): boolean {
  const certificate = new X509Certificate(certPem);
  return (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined;
}
