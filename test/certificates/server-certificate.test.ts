/** The certificate of the local MQTT server: asked for once, renewed in time, whole or not at all on disk. */
import { X509Certificate } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { ServerCertificate } from '../../greengrass/core/certificates/server-certificate.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import {
  type CertifiedKey,
  createKeyPair,
  createSelfSigned,
  issueCertificate,
  readCertificateRequest,
} from '../../greengrass/lib/x509.js';
import { waitFor } from '../support/wait-for.js';

const DAY_MS = 86_400_000;
const LIFE_DAYS = 8;

let ca: CertifiedKey;
let foreignKey: string;
beforeAll(async () => {
  ca = await createSelfSigned({
    subject: [['CN', 'group CA']],
    notAfter: new Date(Date.now() + 365 * DAY_MS),
    isCa: true,
  });
  foreignKey = (await createKeyPair()).publicKeyPem;
});

let root: string;
let certificate: ServerCertificate;
let nowMs: number;
/** What the service was asked to sign. */
let asked: Array<{ groupId: string; hosts: readonly string[]; commonName: string | undefined }>;
let failure: Error | undefined;
/** The service signs somebody else's key. */
let signsForeignKey: boolean;
let changes: number;
/** Addresses that discovery gives. */
let given: string[];
/** Addresses of the host. */
let own: string[] | undefined;

const service = {
  createServerCertificate: async (groupId: string, csr: string) => {
    const { publicKeyPem, hosts, commonName } = readCertificateRequest(csr);
    asked.push({ groupId, hosts, commonName });
    if (failure) throw failure;
    const notAfter = new Date(nowMs + LIFE_DAYS * DAY_MS);
    const certificatePem = issueCertificate(ca, signsForeignKey ? foreignKey : publicKeyPem, {
      subject: [['CN', commonName ?? '']],
      notBefore: new Date(nowMs - DAY_MS),
      notAfter,
      hosts,
      usage: 'server',
    });
    return { certificatePem, caPem: ca.certificatePem, expiresAt: notAfter.toISOString() };
  },
  createIntermediate: () => Promise.reject(new Error('nobody asked for it')),
  connectivityInfo: async () => given.map((HostAddress) => ({ HostAddress })),
};

function make(ownKeyPath?: string): ServerCertificate {
  const made = new ServerCertificate({
    writeDirectory: root,
    thingName: 'test-core',
    service,
    logger: silentLogger(),
    now: () => nowMs,
    ...(own ? { hosts: () => own ?? [] } : {}),
    ...(ownKeyPath === undefined ? {} : { ownKeyPath }),
  });
  made.onChanged(() => changes++);
  return made;
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-certificate-'));
  nowMs = Date.now();
  [asked, failure, signsForeignKey, changes, given, own] = [[], undefined, false, 0, [], undefined];
  certificate = make();
});
afterEach(async () => {
  await certificate.stop();
  rmSync(root, { recursive: true, force: true });
});

const file = (name: string) => join(root, 'var', 'state', 'server', name);

describe('the server certificate', () => {
  it('is asked for with the names of this host, and lies on disk with its key for root alone', async () => {
    expect([certificate.load(), certificate.health().healthy]).toEqual([undefined, false]);
    await certificate.ensure('g', ['localhost', '127.0.0.1', '10.1.2.3']);
    expect(asked).toEqual([
      { groupId: 'g', hosts: ['10.1.2.3', '127.0.0.1', 'localhost'], commonName: 'test-core' },
    ]);
    const { certPem, keyPem, caPem } = certificate.load() ?? { certPem: '', keyPem: '', caPem: '' };
    const parsed = new X509Certificate(certPem);
    expect(parsed.checkHost('localhost')).toBe('localhost');
    expect(parsed.checkIP('10.1.2.3')).toBe('10.1.2.3');
    expect(parsed.checkIssued(new X509Certificate(caPem))).toBe(true);
    expect(keyPem).toMatch(/PRIVATE KEY/);
    expect(lstatSync(file('server.key')).mode & 0o777).toBe(0o600);
    expect([changes, certificate.health()]).toEqual([1, { healthy: true }]);
  });

  it('is not asked for again: not in this process, not in the next', async () => {
    await certificate.ensure('g', ['localhost', 'a']);
    await certificate.ensure('g', ['a']);
    await make().ensure('g', ['localhost']);
    expect([asked.length, changes]).toEqual([1, 1]);
  });

  it.each<[string, string, string[]]>([
    ['another group', 'other', ['localhost']],
    ['a new address', 'g', ['localhost', '10.0.0.9']],
  ])('is asked for anew for %s', async (_what, groupId, hosts) => {
    await certificate.ensure('g', ['localhost']);
    const before = certificate.load();
    await certificate.ensure(groupId, hosts);
    expect(asked[1]).toMatchObject({ groupId, hosts: [...hosts].sort() });
    expect(certificate.load()?.keyPem).not.toBe(before?.keyPem);
    expect(changes).toBe(2);
  });

  it('is renewed in the last quarter of its life', async () => {
    await certificate.ensure('g', ['localhost']);
    nowMs += (LIFE_DAYS * 3 * DAY_MS) / 4 - 60_000;
    await certificate.ensure('g', ['localhost']);
    expect(asked).toHaveLength(1);
    nowMs += 120_000;
    await certificate.ensure('g', ['localhost']);
    expect(asked).toHaveLength(2);
    nowMs += (LIFE_DAYS + 1) * DAY_MS;
    expect(certificate.health()).toEqual({ healthy: false, reason: 'the server certificate has expired' });
  });

  it.each(['server.crt', 'server.key', 'ca.crt', 'server.json'])(
    'is asked for anew where %s is gone or broken',
    async (name) => {
      await certificate.ensure('g', ['localhost']);
      writeFileSync(file(name), 'torn');
      if (name === 'ca.crt') rmSync(file(name));
      await make().ensure('g', ['localhost']);
      expect(asked).toHaveLength(2);
      expect(make().load()).toBeDefined();
    },
  );

  it('is nothing at all where certificate and key do not belong together (a cut while they were written)', async () => {
    await certificate.ensure('g', ['localhost']);
    writeFileSync(file('server.key'), (await createKeyPair()).privateKeyPem);
    expect(certificate.load()).toBeUndefined();
    await certificate.ensure('g', ['localhost']);
    expect(certificate.load()).toBeDefined();
  });

  it('stays what it was where the service refuses, or signs another key', async () => {
    await certificate.ensure('g', ['localhost']);
    const before = certificate.load();
    failure = new Error('no such group');
    await expect(certificate.ensure('g', ['localhost', 'b'])).rejects.toThrow('no such group');
    failure = undefined;
    signsForeignKey = true;
    await expect(certificate.ensure('g', ['localhost', 'b'])).rejects.toThrow(/for another key/);
    expect([certificate.load(), changes]).toEqual([before, 1]);
  });

  it("is for the operator's own key where there is one, which stays where it is", async () => {
    const own = join(root, 'own.key');
    const { privateKeyPem } = await createKeyPair();
    writeFileSync(own, privateKeyPem);
    certificate = make(own);
    await certificate.ensure('g', ['localhost']);
    expect(certificate.load()?.keyPem).toBe(privateKeyPem);
    expect(existsSync(file('server.key'))).toBe(false);
    expect(readFileSync(own, 'utf8')).toBe(privateKeyPem);
  });

  it('is forgotten by a reset', async () => {
    await certificate.ensure('g', ['localhost']);
    certificate.forget();
    expect([certificate.load(), existsSync(file(''))]).toEqual([undefined, false]);
    await certificate.ensure('g', ['localhost']);
    expect(asked).toHaveLength(2);
  });
});

describe('while the core runs', () => {
  beforeEach(() => {
    jest.useFakeTimers({
      doNotFake: [
        'setTimeout',
        'clearTimeout',
        'setImmediate',
        'clearImmediate',
        'nextTick',
        'Date',
        'performance',
        'hrtime',
        'queueMicrotask',
      ],
    });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('the certificate is renewed by itself, and tried again until the cloud answers', async () => {
    await certificate.start();
    await certificate.ensure('g', ['localhost']);
    jest.advanceTimersByTime(60_000);
    expect(asked).toHaveLength(1);
    nowMs += (LIFE_DAYS - 1) * DAY_MS;
    failure = new Error('the cloud is away');
    jest.advanceTimersByTime(60_000);
    await waitFor(() => asked.length === 2);
    expect(certificate.health().healthy).toBe(true);
    failure = undefined;
    await waitFor(() => {
      jest.advanceTimersByTime(60_000);
      return changes === 2;
    });
    expect(asked.length).toBeGreaterThanOrEqual(3);
  });

  it('an address that the host gets later is asked for', async () => {
    own = ['localhost'];
    certificate = make();
    await certificate.start();
    await certificate.ensure('g', own);
    own = ['localhost', '10.9.9.9'];
    await waitFor(() => {
      jest.advanceTimersByTime(60_000);
      return changes === 2;
    });
    expect(asked.at(-1)?.hosts).toEqual(['10.9.9.9', 'localhost']);
    jest.advanceTimersByTime(60_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toHaveLength(2);
  });

  it('an address that the operator entered is asked for, one that is there already is not', async () => {
    await certificate.ensure('g', ['localhost', '10.1.1.1']);
    given = ['10.1.1.1', 'localhost', 'fe80::1%eth0'];
    await certificate.addressesChanged();
    expect(asked).toHaveLength(1);
    given = ['gateway.example'];
    await certificate.addressesChanged();
    expect(asked).toHaveLength(2);
  });

  it('nothing is asked for before a group wants it, and nothing after a stop', async () => {
    await certificate.start();
    jest.advanceTimersByTime(300_000);
    await certificate.stop();
    await certificate.stop();
    certificate.forget();
    jest.advanceTimersByTime(300_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toEqual([]);
  });
});
