/**
 * Facts about this installation that the first start makes and every later one finds again: account id, certificate
 * authorities, keys. The server's certificate is the one that may change.
 */
import { createHash, randomBytes, randomInt, X509Certificate } from 'node:crypto';
import {
  type CertifiedKey,
  createKeyPair,
  createSelfSigned,
  expiryOf,
  issueCertificate,
} from '../../lib/x509.js';
import type { AccessKey, Store } from './store.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const AUTHORITY_LIFE_MS = 30 * 365 * DAY_MS;
const SERVER_LIFE_MS = 2 * 365 * DAY_MS;
/** A start renews a server certificate that has less than this left. */
const SERVER_RENEWAL_MS = 60 * DAY_MS;

export interface Installation {
  /** Twelve digits. */
  readonly accountId: string;
  /** Signs the server's certificate: what cores and devices trust. */
  readonly rootCa: CertifiedKey;
  /** Signs client certificates; nobody trusts it for a server. */
  readonly clientCa: CertifiedKey;
  readonly accessKey: AccessKey;
  /** Signs addresses of function code. */
  readonly codeLocationKey: Buffer;
}

/**
 * `givenAccountId`: that of the AWS account whose things and functions a hybrid installation uses. It is for the first
 * start to say; ARNs everywhere carry it.
 */
export async function loadInstallation(store: Store, givenAccountId?: string): Promise<Installation> {
  const accountId = await once(
    store,
    'accountId',
    async () => givenAccountId ?? String(randomInt(1e11, 1e12)),
  );
  if (givenAccountId !== undefined && givenAccountId !== accountId) {
    throw new Error(
      `This installation was made with account id ${accountId}, but the configuration says ${givenAccountId}. The id is in the ARNs of its groups and devices, so it can't change: correct the configuration, or start with an empty data folder.`,
    );
  }
  return {
    accountId,
    rootCa: await authority(store, 'rootCa', `greengrass-cloud root ${accountId}`),
    clientCa: await authority(store, 'clientCa', `greengrass-cloud clients ${accountId}`),
    accessKey: await accessKey(store),
    codeLocationKey: Buffer.from(
      await once(store, 'codeLocationKey', async () => randomBytes(32).toString('base64')),
      'base64',
    ),
  };
}

/** The certificate of the MQTT and HTTPS servers for `hosts`; a new one where they changed or it nears its end. */
export async function loadServerCertificate(
  store: Store,
  rootCa: CertifiedKey,
  hosts: readonly string[],
): Promise<CertifiedKey> {
  // Replicas may have other names: each set of names has a certificate of its own.
  const digest = createHash('sha256')
    .update([...hosts].sort().join(' '))
    .digest('hex')
    .slice(0, 16);
  const setting = `serverCertificate ${digest}`;
  const stored = await store.settings.get(setting);
  const current = stored === undefined ? undefined : (JSON.parse(stored) as StoredServerCertificate);
  if (current && isStillGood(current, rootCa, hosts)) return current;
  const { publicKeyPem, privateKeyPem } = await createKeyPair();
  const certificatePem = issueCertificate(rootCa, publicKeyPem, {
    subject: [['CN', 'greengrass-cloud']],
    notAfter: new Date(Date.now() + SERVER_LIFE_MS),
    hosts,
    usage: 'server',
  });
  const made: StoredServerCertificate = { certificatePem, privateKeyPem, hosts };
  await store.settings.set(setting, JSON.stringify(made));
  return made;
}

interface StoredServerCertificate extends CertifiedKey {
  readonly hosts: readonly string[];
}

function isStillGood(
  current: StoredServerCertificate,
  rootCa: CertifiedKey,
  hosts: readonly string[],
): boolean {
  const isForHosts = JSON.stringify([...current.hosts].sort()) === JSON.stringify([...hosts].sort());
  const leftMs = expiryOf(current.certificatePem).getTime() - Date.now();
  const root = new X509Certificate(rootCa.certificatePem);
  return (
    isForHosts &&
    leftMs > SERVER_RENEWAL_MS &&
    new X509Certificate(current.certificatePem).verify(root.publicKey)
  );
}

async function authority(store: Store, name: string, commonName: string): Promise<CertifiedKey> {
  const text = await once(store, name, async () =>
    JSON.stringify(
      await createSelfSigned({
        subject: [
          ['O', 'greengrass-cloud'],
          ['CN', commonName],
        ],
        notAfter: new Date(Date.now() + AUTHORITY_LIFE_MS),
        isCa: true,
      }),
    ),
  );
  return JSON.parse(text) as CertifiedKey;
}

async function accessKey({ settings }: Store): Promise<AccessKey> {
  const existing = (await settings.accessKeys()).find(({ status }) => status !== 'Inactive');
  if (existing) return existing;
  const key = { ...newAccessKey(), description: 'made at the first start' };
  await settings.addAccessKey(key);
  return key;
}

/** A key with random parts; in no store yet. */
export function newAccessKey(): AccessKey {
  return {
    accessKeyId: `AKIA${randomText(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}`,
    secretAccessKey: randomBytes(30).toString('base64'),
    createdAt: new Date().toISOString(),
  };
}

function randomText(length: number, alphabet: string): string {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');
}

/** The setting; where there is none, what `make` makes, kept from now on. */
async function once({ settings }: Store, name: string, make: () => Promise<string>): Promise<string> {
  const existing = await settings.get(name);
  if (existing !== undefined) return existing;
  const made = await make();
  await settings.set(name, made);
  return made;
}
