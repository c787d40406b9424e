/**
 * Group CAs: one active for each group, older ones kept while cores may still show certificates that they signed. They
 * look as V1's did: RSA 2048, 80 years less a second. The private key never leaves the cloud.
 */
import { createPublicKey } from 'node:crypto';
import { certifiableHosts } from '../../lib/host-names.js';
import {
  certificateId,
  createSelfSigned,
  expiryOf,
  issueCertificate,
  readCertificateRequest,
} from '../../lib/x509.js';
import type { GroupAuthority, Store } from '../store/store.js';

const CA_LIFETIME_MS = 2_524_607_999_000;
const CLOCK_SKEW_MS = 5 * 60_000;
/** Longest life of a server certificate: 30 days. */
const MAX_SERVER_CERTIFICATE_MS = 2_592_000_000;
const DAY_MS = 86_400_000;
/** A thing name, or a short host name; X.509 has room for 64 characters. */
const COMMON_NAME = /^[a-zA-Z0-9:._-]{1,64}$/;

export interface SignedServerCertificate {
  readonly certificatePem: string;
  readonly caPem: string;
  /** ISO 8601. */
  readonly expiresAt: string;
}

export interface SignedIntermediate extends SignedServerCertificate {
  /** Lifetime of the certificates that the core signs with it. */
  readonly serverCertificateExpiryMs: number;
}

/** The operator delegates no CA to cores. */
export class DelegationRefused extends Error {
  override readonly name = 'DelegationRefused';
}

/** The request of a core can't be signed; the message says why. */
export class RequestRefused extends Error {
  override readonly name = 'RequestRefused';
}

export class GroupAuthorities {
  /** One look at a time for a group, so that two first looks make one CA. */
  readonly #ensuring = new Map<string, Promise<GroupAuthority>>();

  constructor(
    private readonly store: Pick<Store, 'authorities'>,
    private readonly accountId: string,
    /** So long a core may hold an intermediate CA; absent: none may. */
    private readonly intermediateDays?: number,
  ) {}

  /** The active one first. */
  list(groupId: string): Promise<GroupAuthority[]> {
    return this.store.authorities.list(groupId);
  }

  /**
   * Those that devices have to trust: the active one first, and older ones as long as something that they signed may
   * be in use. Made where the group has none.
   */
  async trusted(groupId: string): Promise<GroupAuthority[]> {
    await this.ensure(groupId);
    const all = await this.list(groupId);
    const usedMs = Math.max(MAX_SERVER_CERTIFICATE_MS, (this.intermediateDays ?? 0) * DAY_MS);
    // An older one signs until its successor is made.
    return all.filter((_, index) => {
      const successor = all[index - 1];
      return successor === undefined || Date.parse(successor.createdAt) + usedMs > Date.now();
    });
  }

  /** The active one; made where the group has none. */
  ensure(groupId: string): Promise<GroupAuthority> {
    const ensuring =
      this.#ensuring.get(groupId) ?? this.#ensure(groupId).finally(() => this.#ensuring.delete(groupId));
    this.#ensuring.set(groupId, ensuring);
    return ensuring;
  }

  async #ensure(groupId: string): Promise<GroupAuthority> {
    return (await this.list(groupId))[0] ?? this.create(groupId);
  }

  /** Makes a new one, which becomes the active one. */
  async create(groupId: string): Promise<GroupAuthority> {
    // A little back, for devices whose clocks are late.
    const notBefore = new Date(Date.now() - CLOCK_SKEW_MS);
    const { certificatePem, privateKeyPem } = await createSelfSigned({
      subject: [
        ['C', 'US'],
        ['O', 'Amazon.com Inc.'],
        ['OU', 'Amazon Web Services'],
        ['ST', 'Washington'],
        ['L', 'Seattle'],
        ['CN', `${this.accountId}:${groupId}`],
      ],
      notBefore,
      notAfter: new Date(notBefore.getTime() + CA_LIFETIME_MS),
      isCa: true,
    });
    const authority: GroupAuthority = {
      authorityId: certificateId(certificatePem),
      groupId,
      certificatePem,
      privateKeyPem,
      createdAt: new Date().toISOString(),
    };
    await this.store.authorities.create(authority);
    return authority;
  }

  /** Signs the local MQTT server's certificate for `hosts` first, then the hosts of the request. Throws RequestRefused. */
  async signServerCertificate(
    groupId: string,
    csrPem: string,
    hosts: readonly string[],
  ): Promise<SignedServerCertificate> {
    const request = readRequest(csrPem);
    const { commonName = '' } = request;
    const authority = await this.ensure(groupId);
    const names = certifiableHosts([...hosts, ...request.hosts]);
    const lifetimeMs = await this.store.authorities.serverCertificateExpiryMs(groupId);
    const certificatePem = issueCertificate(authority, request.publicKeyPem, {
      subject: [['CN', COMMON_NAME.test(commonName) ? commonName : 'greengrass-core']],
      notAfter: new Date(Date.now() + lifetimeMs),
      hosts: names,
      usage: 'server',
    });
    return {
      certificatePem,
      caPem: authority.certificatePem,
      expiresAt: expiryOf(certificatePem).toISOString(),
    };
  }

  /**
   * Signs an intermediate CA for a core: no further CA below it, good for servers only, with the thing's name, whatever
   * the request says. Its names are not limited: the addresses of a core change. Throws DelegationRefused, RequestRefused.
   */
  async signIntermediate(
    groupId: string,
    csrPem: string,
    coreThingName: string,
  ): Promise<SignedIntermediate> {
    if (this.intermediateDays === undefined) {
      throw new DelegationRefused(
        'this cloud delegates no CA to cores: start greengrass-cloud with --intermediate-days to allow it',
      );
    }
    const { publicKeyPem } = readRequest(csrPem);
    if (createPublicKey(publicKeyPem).asymmetricKeyType !== 'rsa') {
      throw new RequestRefused('csr: the key of an intermediate CA must be RSA');
    }
    const authority = await this.ensure(groupId);
    const notAfter = Math.min(
      Date.now() + this.intermediateDays * DAY_MS,
      expiryOf(authority.certificatePem).getTime(),
    );
    const certificatePem = issueCertificate(authority, publicKeyPem, {
      subject: [
        ['O', 'Greengrass core'],
        ['CN', coreThingName.slice(0, 64)],
      ],
      notAfter: new Date(notAfter),
      isCa: true,
      pathLength: 0,
      usage: 'server',
    });
    return {
      certificatePem,
      caPem: authority.certificatePem,
      expiresAt: expiryOf(certificatePem).toISOString(),
      serverCertificateExpiryMs: await this.store.authorities.serverCertificateExpiryMs(groupId),
    };
  }
}

function readRequest(csrPem: string) {
  try {
    return readCertificateRequest(csrPem);
  } catch (error) {
    throw new RequestRefused(
      `csr: not a certificate request that proves its key: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}
