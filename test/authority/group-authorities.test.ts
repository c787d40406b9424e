/** Group CAs as V1's were, and what they sign. */
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import forge from 'node-forge';
import {
  DelegationRefused,
  GroupAuthorities,
  RequestRefused,
} from '../../greengrass/cloud/authority/group-authorities.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import type { Store } from '../../greengrass/cloud/store/store.js';
import { createCertificateRequest, createKeyPair, type KeyPairPem } from '../../greengrass/lib/x509.js';

const DAY_MS = 86_400_000;

describe('group CAs', () => {
  let folder: string;
  let store: Store;
  let authorities: GroupAuthorities;
  let keys: KeyPairPem;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'greengrass-authority-'));
    store = await openSqliteStore(join(folder, 'cloud.db'));
    authorities = new GroupAuthorities(store, '123456789012');
    keys = await createKeyPair();
  });
  afterAll(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const request = (hosts: string[] = [], commonName = 'core') =>
    createCertificateRequest(keys, [['CN', commonName]], hosts);
  const sign = async (csr: string, hosts: string[] = []) => {
    const signed = await authorities.signServerCertificate('g', csr, hosts);
    return { ...signed, certificate: new X509Certificate(signed.certificatePem) };
  };

  it("look as V1's did", async () => {
    const { certificatePem, authorityId } = await authorities.ensure('look');
    const certificate = new X509Certificate(certificatePem);
    expect(certificate.subject.split('\n')).toEqual([
      'C=US',
      'O=Amazon.com Inc.',
      'OU=Amazon Web Services',
      'ST=Washington',
      'L=Seattle',
      'CN=123456789012:look',
    ]);
    expect(certificate.issuer).toBe(certificate.subject);
    expect(certificate.ca).toBe(true);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
    const lifetimeMs = Date.parse(certificate.validTo) - Date.parse(certificate.validFrom);
    expect(lifetimeMs).toBe(2_524_607_999_000);
    // 20 octets, of which the first is never 0.
    expect(certificate.serialNumber).toHaveLength(40);
    expect(authorityId).toBe(certificate.fingerprint256.replaceAll(':', '').toLowerCase());
  });

  it('stay trusted after a rotation as long as what they signed may be in use', async () => {
    const days = (count: number) => new Date(Date.now() - count * DAY_MS).toISOString();
    for (const [group, rotatedDaysAgo] of [
      ['lately', 29],
      ['long ago', 31],
    ] as const) {
      const old = await authorities.create(group);
      const next = await authorities.create(`${group} 2`);
      await store.authorities.create({
        ...{ ...next, authorityId: `${group} next`, groupId: group },
        createdAt: days(rotatedDaysAgo),
      });
      const trusted = (await authorities.trusted(group)).map(({ authorityId }) => authorityId);
      expect(trusted).toEqual([`${group} next`, ...(rotatedDaysAgo < 30 ? [old.authorityId] : [])]);
      const delegating = new GroupAuthorities(store, '123456789012', 365);
      expect(await delegating.trusted(group)).toHaveLength(2);
    }
  });

  it('sign no intermediate for a key that is not RSA, nor for a request that is none', async () => {
    const delegating = new GroupAuthorities(store, '123456789012', 365);
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const curve = {
      privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    };
    for (const csr of [createCertificateRequest(curve, [['CN', 'x']]), 'no request']) {
      await expect(delegating.signIntermediate('g', csr, 'core')).rejects.toThrow(RequestRefused);
    }
    await expect(authorities.signIntermediate('g', request(), 'core')).rejects.toThrow(DelegationRefused);
  });

  it('many first looks at a group at once make one CA', async () => {
    const made = await Promise.all(Array.from({ length: 5 }, () => authorities.ensure('rush')));
    expect(new Set(made.map(({ authorityId }) => authorityId)).size).toBe(1);
    expect(await authorities.list('rush')).toHaveLength(1);
  });

  it('a failed first look is not remembered', async () => {
    let isBroken = true;
    const flaky = new GroupAuthorities(
      {
        authorities: {
          create: (authority) => store.authorities.create(authority),
          list: (id) => (isBroken ? Promise.reject(new Error('away')) : store.authorities.list(id)),
          serverCertificateExpiryMs: (id) => store.authorities.serverCertificateExpiryMs(id),
          setServerCertificateExpiryMs: (id, ms) => store.authorities.setServerCertificateExpiryMs(id, ms),
          delete: (id) => store.authorities.delete(id),
        },
      },
      '123456789012',
    );
    await expect(flaky.ensure('flaky')).rejects.toThrow('away');
    isBroken = false;
    expect((await flaky.ensure('flaky')).groupId).toBe('flaky');
  });

  it('rotation: the newest comes first and signs, the older one stays listed', async () => {
    const older = await authorities.create('turn');
    const newer = await authorities.create('turn');
    expect((await authorities.list('turn')).map(({ authorityId }) => authorityId)).toEqual([
      newer.authorityId,
      older.authorityId,
    ]);
    const { caPem, certificatePem } = await authorities.signServerCertificate('turn', request(), []);
    expect(caPem).toBe(newer.certificatePem);
    const olderKey = new X509Certificate(older.certificatePem).publicKey;
    expect(new X509Certificate(certificatePem).verify(olderKey)).toBe(false);
  });

  it('sign for a server, for seven days unless the group says otherwise', async () => {
    const before = Date.now();
    const { certificate, expiresAt, caPem } = await sign(request(['core.local']));
    expect(certificate.verify(new X509Certificate(caPem).publicKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.subject).toBe('CN=core');
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(Math.abs(Date.parse(expiresAt) - before - 7 * DAY_MS)).toBeLessThan(60_000);
    expect(Date.parse(certificate.validTo)).toBe(Date.parse(expiresAt));
    await store.authorities.setServerCertificateExpiryMs('g', 30 * DAY_MS);
    const month = await sign(request());
    expect(Math.abs(Date.parse(month.expiresAt) - Date.now() - 30 * DAY_MS)).toBeLessThan(60_000);
  });

  it('name the hosts of the core and of the request, and only what can be a host', async () => {
    const { certificate } = await sign(request(['request.local', '10.0.0.2', '*.example.com', 'a b', '']), [
      ...['192.168.1.4', 'known.local', 'known.local', '::1', 'fe80::1', 'fe80::1%eth0'],
      ...['evil.com\u0000.local', '-x'],
    ]);
    expect(certificate.subjectAltName?.split(', ').sort()).toEqual([
      'DNS:known.local',
      'DNS:request.local',
      'IP Address:0:0:0:0:0:0:0:1',
      'IP Address:10.0.0.2',
      'IP Address:192.168.1.4',
      'IP Address:FE80:0:0:0:0:0:0:1',
    ]);
  });

  it('put at most 32 hosts into a certificate, those that devices are told of before all others', async () => {
    const many = Array.from({ length: 40 }, (_, n) => `h${n}.local`);
    const { certificate } = await sign(request(many), ['10.9.9.9']);
    expect(certificate.subjectAltName?.split(', ')).toHaveLength(32);
    expect(certificate.checkIP('10.9.9.9')).toBe('10.9.9.9');
  });

  it.each(['x'.repeat(65), 'new\nline', 'O=Evil, CN=x', ''])(
    'do not take over a common name that is none: %j',
    async (commonName) => {
      const { certificate } = await sign(request([], commonName));
      expect(certificate.subject).toBe('CN=greengrass-core');
    },
  );

  it('refuse a request that is broken, or whose sender does not hold the key', async () => {
    const other = await createKeyPair();
    const swapped = { publicKeyPem: other.publicKeyPem, privateKeyPem: keys.privateKeyPem };
    for (const csr of [
      '',
      'x',
      request().slice(0, 300),
      createCertificateRequest(swapped, [['CN', 'core']]),
    ]) {
      await expect(sign(csr)).rejects.toThrow(RequestRefused);
    }
  });

  it('refuse a key that is too short, and at once one that takes minutes to compute with', async () => {
    const small = forge.pki.rsa.generateKeyPair(512);
    const requestFor = (key: forge.pki.rsa.PublicKey) => {
      const made = forge.pki.createCertificationRequest();
      made.publicKey = key;
      made.setSubject([{ shortName: 'CN', value: 'core' }]);
      made.sign(small.privateKey, forge.md.sha256.create());
      return made;
    };
    const weak = forge.pki.certificationRequestToPem(requestFor(small.publicKey));
    await expect(sign(weak)).rejects.toThrow(/2048 to 4096 bits/);

    // 16384 bits in modulus and exponent, and a signature of the key's size: to verify it took over three minutes.
    const digits = new forge.jsbn.BigInteger('f'.repeat(4096), 16);
    const huge = requestFor(forge.pki.rsa.setPublicKey(digits, digits));
    huge.signature = '\u0001'.repeat(2048);
    const start = Date.now();
    await expect(sign(forge.pki.certificationRequestToPem(huge))).rejects.toThrow(/2048 to 4096 bits/);
    expect(Date.now() - start).toBeLessThan(2000);
  });
});
