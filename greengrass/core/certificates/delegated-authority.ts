/**
 * An intermediate CA of the group, where the operator delegates one to this core: its key is made here and never leaves
 * `var/state/server`, the group CA in the cloud signs it (no further CA below it, servers only, for a limited time). With it
 * the core renews the certificate of its MQTT server while the cloud is away.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { checkJson, z } from '../../lib/check.js';
import { certifiableHosts } from '../../lib/host-names.js';
import type { Logger } from '../../lib/log.js';
import {
  type CertifiedKey,
  certificateId,
  createCertificateRequest,
  createKeyPair,
  expiryOf,
  issueCertificate,
  matchesPrivateKey,
} from '../../lib/x509.js';
import { type ServiceClient, ServiceError } from '../service-client.js';

const CLOCK_SKEW_MS = 5 * 60_000;
const FILE = 'authority.json';

const kept = z.object({
  groupId: z.string(),
  certificatePem: z.string(),
  privateKeyPem: z.string(),
  /** The group CA that signed it. */
  caPem: z.string(),
  /** Addresses of this core that the operator entered in the cloud. */
  hosts: z.array(z.string()),
  /** Lifetime of the certificates that it signs. */
  serverCertificateExpiryMs: z.number().int().min(1),
});
type Kept = z.output<typeof kept>;

export interface DelegatedAuthorityOptions {
  readonly folder: string;
  readonly thingName: string;
  readonly service: Pick<ServiceClient, 'createIntermediate'>;
  readonly logger: Logger;
  readonly now: () => number;
}

export interface Wanted {
  readonly groupId: string;
  readonly hosts: readonly string[];
  /** The group CA that the certificate must go back to; absent: any. */
  readonly authorityId?: string | undefined;
  /** Of the server's own key. */
  readonly publicKeyPem: string;
}

export interface Issued {
  /** The server's certificate, and the intermediate behind it. */
  readonly certificatePem: string;
  readonly caPem: string;
  /** ISO 8601. */
  readonly expiresAt: string;
}

export class DelegatedAuthority {
  constructor(private readonly options: DelegatedAuthorityOptions) {}

  /**
   * Signs a server certificate. Undefined where the cloud delegates no CA to this core; rejects where there is none yet,
   * or the one that is there has ended, and the cloud can't be asked.
   */
  async issue({ groupId, hosts, authorityId, publicKeyPem }: Wanted): Promise<Issued | undefined> {
    const authority = await this.#authority(groupId, authorityId);
    if (!authority) return undefined;
    const { thingName, now } = this.options;
    const [begin, end] = lifeOf(authority);
    // A core without a clock of its own starts in the past: devices would refuse what ended there.
    const start = Math.max(now(), begin);
    const notAfter = new Date(Math.min(start + authority.serverCertificateExpiryMs, end));
    const certificatePem = issueCertificate(authority, publicKeyPem, {
      subject: [['CN', thingName.slice(0, 64)]],
      notBefore: new Date(start - CLOCK_SKEW_MS),
      notAfter,
      hosts: certifiableHosts([...authority.hosts, ...hosts]),
      usage: 'server',
    });
    return {
      certificatePem: `${certificatePem.trim()}\n${authority.certificatePem.trim()}\n`,
      caPem: authority.caPem,
      expiresAt: notAfter.toISOString(),
    };
  }

  /** Further addresses of this core, for the certificates to come. */
  addHosts(hosts: readonly string[]): void {
    const authority = this.#load();
    if (authority) this.#keep({ ...authority, hosts: [...new Set([...hosts, ...authority.hosts])] });
  }

  /** The one that is there where it still serves; a new one from half of its life on, as soon as the cloud gives it. */
  async #authority(groupId: string, authorityId: string | undefined): Promise<Kept | undefined> {
    const { logger, now } = this.options;
    const stored = this.#load();
    const serves =
      stored?.groupId === groupId &&
      (authorityId === undefined || certificateId(stored.caPem) === authorityId) &&
      now() < lifeOf(stored)[1];
    if (!serves) return this.#obtain(groupId);
    const [begin, end] = lifeOf(stored);
    if (now() < (begin + end) / 2) return stored;
    try {
      return (await this.#obtain(groupId)) ?? stored;
    } catch (error) {
      const endsAt = new Date(end).toISOString();
      logger.warn(
        { reason: (error as Error).message, endsAt },
        'The intermediate CA could not be renewed; the one that is there goes on.',
      );
      return stored;
    }
  }

  async #obtain(groupId: string): Promise<Kept | undefined> {
    const { service, thingName, logger } = this.options;
    const keys = await createKeyPair();
    const csr = createCertificateRequest(keys, [['CN', thingName.slice(0, 64)]]);
    try {
      const { certificatePem, caPem, hosts, serverCertificateExpiryMs } = await service.createIntermediate(
        groupId,
        csr,
      );
      checkChain({ certificatePem, privateKeyPem: keys.privateKeyPem }, caPem);
      const authority: Kept = {
        ...{ groupId, certificatePem, caPem, hosts, serverCertificateExpiryMs },
        privateKeyPem: keys.privateKeyPem,
      };
      this.#keep(authority);
      const expiresAt = expiryOf(certificatePem).toISOString();
      logger.info({ groupId, expiresAt }, 'Intermediate CA obtained.');
      return authority;
    } catch (error) {
      if (!(error instanceof ServiceError) || error.recoverable) throw error;
      logger.warn(
        { reason: error.reason },
        'The cloud delegates no CA to this core; it signs the server certificate itself.',
      );
      return undefined;
    }
  }

  #keep(authority: Kept): void {
    writeFileAtomic(join(this.options.folder, FILE), JSON.stringify(authority), 0o600);
  }

  #load(): Kept | undefined {
    try {
      return checkJson(kept, readFileSync(join(this.options.folder, FILE), 'utf8'), FILE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.options.logger.error(
          { reason: (error as Error).message },
          'The intermediate CA could not be read; the cloud is asked for another one.',
        );
      }
      return undefined;
    }
  }
}

function lifeOf({ certificatePem }: { certificatePem: string }): [begin: number, end: number] {
  const { validFrom, validTo } = new X509Certificate(certificatePem);
  return [Date.parse(validFrom), Date.parse(validTo)];
}

/** A chain that does not hold would only be found out by the devices. */
function checkChain({ certificatePem, privateKeyPem }: CertifiedKey, caPem: string): void {
  const certificate = new X509Certificate(certificatePem);
  if (!matchesPrivateKey(certificatePem, createPrivateKey(privateKeyPem))) {
    throw new Error('the service signed an intermediate CA for another key');
  }
  const ca = new X509Certificate(caPem);
  if (!certificate.ca || !certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) {
    throw new Error('the intermediate CA from the service was not signed by the group CA');
  }
}
