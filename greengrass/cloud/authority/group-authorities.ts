/**
 * Group CAs: one active for each group, older ones kept while cores may still show certificates that they signed. They
 * look as V1's did: RSA 2048, 80 years less a second. The private key never leaves the cloud.
 */
import { isIP } from 'node:net';
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
/** More names in one certificate help nobody. */
const MAX_HOSTS = 32;
/** A thing name, or a short host name; X.509 has room for 64 characters. */
const COMMON_NAME = /^[a-zA-Z0-9:._-]{1,64}$/;
const HOST_NAME = /^(?=.{1,253}$)[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62})(\.[a-zA-Z0-9_-]{1,63})*$/;

export interface SignedServerCertificate {
  readonly certificatePem: string;
  readonly caPem: string;
  /** ISO 8601. */
  readonly expiresAt: string;
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
  ) {}

  /** The active one first. */
  list(groupId: string): Promise<GroupAuthority[]> {
    return this.store.authorities.list(groupId);
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
    const names = [...new Set([...hosts, ...request.hosts])].filter(isHost).slice(0, MAX_HOSTS);
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

function isHost(host: string): boolean {
  // The zone of a link-local address means something on its own host only.
  return isIP(host) === 0 ? HOST_NAME.test(host) : !host.includes('%');
}
