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
/** More names in one certificate help nobody. */
const MAX_HOSTS = 32;
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
  /** One creation at a time for a group, so that two first looks make one CA. */
  readonly #making = new Map<string, Promise<GroupAuthority>>();

  constructor(
    private readonly store: Pick<Store, 'authorities'>,
    private readonly accountId: string,
  ) {}

  /** The active one first. */
  list(groupId: string): Promise<GroupAuthority[]> {
    return this.store.authorities.list(groupId);
  }

  /** The active one; made where the group has none. */
  async ensure(groupId: string): Promise<GroupAuthority> {
    const [active] = await this.list(groupId);
    if (active) return active;
    const making =
      this.#making.get(groupId) ?? this.create(groupId).finally(() => this.#making.delete(groupId));
    this.#making.set(groupId, making);
    return making;
  }

  /** Makes a new one, which becomes the active one. */
  async create(groupId: string): Promise<GroupAuthority> {
    const { certificatePem, privateKeyPem } = await createSelfSigned({
      subject: [
        ['C', 'US'],
        ['O', 'Amazon.com Inc.'],
        ['OU', 'Amazon Web Services'],
        ['ST', 'Washington'],
        ['L', 'Seattle'],
        ['CN', `${this.accountId}:${groupId}`],
      ],
      notAfter: new Date(Date.now() + CA_LIFETIME_MS),
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

  /** Signs the local MQTT server's certificate for `hosts` and the hosts of the request. Throws RequestRefused. */
  async signServerCertificate(
    groupId: string,
    csrPem: string,
    hosts: readonly string[],
  ): Promise<SignedServerCertificate> {
    const request = readRequest(csrPem);
    const authority = await this.ensure(groupId);
    const names = [...new Set([...request.hosts, ...hosts])].filter(isHost).slice(0, MAX_HOSTS);
    const lifetimeMs = await this.store.authorities.serverCertificateExpiryMs(groupId);
    const certificatePem = issueCertificate(authority, request.publicKeyPem, {
      subject: [['CN', request.commonName ?? 'greengrass-core']],
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
  return isIP(host) !== 0 || HOST_NAME.test(host);
}
