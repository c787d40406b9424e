/** The intermediate CA of a core: real group CAs sign it, openssl judges the chains, the core's clock is moved. */
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DelegationRefused, GroupAuthorities } from '../../greengrass/cloud/authority/group-authorities.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import type { Store } from '../../greengrass/cloud/store/store.js';
import { ServerCertificate } from '../../greengrass/core/certificates/server-certificate.js';
import { ServiceError } from '../../greengrass/core/service-client.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { run } from '../../greengrass/lib/subprocess.js';
import {
  createCertificateRequest,
  createKeyPair,
  createSelfSigned,
  issueCertificate,
} from '../../greengrass/lib/x509.js';

const DAY_MS = 86_400_000;

let root: string;
let store: Store;
let authorities: GroupAuthorities;
let certificate: ServerCertificate;
let nowMs: number;
let isAway: boolean;
let calls: string[];
let addresses: string[];

const reach = (name: string) => {
  calls.push(name);
  if (isAway) throw new ServiceError('the cloud is away', true);
};
const service = {
  createServerCertificate: async (groupId: string, csr: string) => {
    reach('server');
    return authorities.signServerCertificate(groupId, csr, addresses);
  },
  createIntermediate: async (groupId: string, csr: string) => {
    reach('intermediate');
    try {
      return { ...(await authorities.signIntermediate(groupId, csr, 'test-core')), hosts: addresses };
    } catch (error) {
      if (error instanceof DelegationRefused) throw new ServiceError(error.message, false);
      throw error;
    }
  },
  connectivityInfo: async () => {
    reach('connectivity');
    return addresses.map((HostAddress) => ({ HostAddress }));
  },
};

function make(issuer: 'cloud' | 'core' = 'core'): ServerCertificate {
  return new ServerCertificate({
    writeDirectory: root,
    thingName: 'test-core',
    service,
    issuer,
    logger: silentLogger(),
    now: () => nowMs,
    // Made in no time, unlike those of RSA.
    ownKeyPath: join(root, 'own.key'),
  });
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-delegated-'));
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  writeFileSync(join(root, 'own.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  store = await openSqliteStore(join(root, 'cloud.db'));
  authorities = new GroupAuthorities(store, '123456789012', 365);
  [nowMs, isAway, calls, addresses] = [Date.now(), false, [], []];
  certificate = make();
});
afterEach(async () => {
  await certificate.stop();
  await store.close();
  rmSync(root, { recursive: true, force: true });
});

const file = (name: string) => join(root, 'var/state/server', name);
const chain = () => {
  const pems =
    (certificate.load()?.certPem ?? '').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ??
    [];
  return pems.map((pem) => new X509Certificate(pem)) as [X509Certificate, X509Certificate];
};
const left = () => (Date.parse(chain()[0].validTo) - nowMs) / DAY_MS;

/** What openssl says of the chain for a client that trusts `caPem` alone, at the time of the core. */
async function verify(caPem: string, host = 'localhost'): Promise<string> {
  const [leaf, intermediate] = chain();
  for (const [name, pem] of Object.entries({ leaf, intermediate, ca: caPem }))
    writeFileSync(join(root, name), String(pem));
  const at = String(Math.floor(nowMs / 1000));
  const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-attime', at, '-verify_hostname', host];
  const paths = ['-CAfile', join(root, 'ca'), '-untrusted', join(root, 'intermediate'), join(root, 'leaf')];
  const { stdout, stderr } = await run('openssl', [...args, ...paths], { timeoutMs: 10_000 });
  return `${stdout}${stderr}`;
}

it('is signed once, and signs what clients of the group CA trust', async () => {
  addresses = ['gateway.example'];
  await certificate.ensure('g', ['localhost', '127.0.0.1', 'fe80::1%eth0']);
  const [ca] = await authorities.list('g');
  expect(calls).toEqual(['intermediate']);
  for (const host of ['localhost', 'gateway.example'])
    expect(await verify(ca?.certificatePem ?? '', host)).toMatch(/: OK/);
  const [leaf, intermediate] = chain();
  expect([leaf.ca, intermediate.ca]).toEqual([false, true]);
  expect(intermediate.subject).toContain('CN=test-core');
  expect(certificate.load()?.caPem).toBe(ca?.certificatePem);
  expect(lstatSync(file('authority.json')).mode & 0o777).toBe(0o600);
  // Another group CA does not trust it.
  expect(await verify((await authorities.ensure('other')).certificatePem)).not.toMatch(/: OK/);
});

it('can make no further CA, and nothing but servers', async () => {
  await certificate.ensure('g', ['localhost']);
  const { certificatePem, privateKeyPem } = JSON.parse(readFileSync(file('authority.json'), 'utf8')) as {
    certificatePem: string;
    privateKeyPem: string;
  };
  const text = await run('openssl', ['x509', '-noout', '-text', '-in', file('server.crt')], {
    timeoutMs: 10_000,
  });
  expect(text.stdout).toContain('TLS Web Server Authentication');
  const sub = await createKeyPair();
  const fields = { subject: [['CN', 'sub']] as const, notAfter: new Date(nowMs + DAY_MS) };
  const subCa = issueCertificate({ certificatePem, privateKeyPem }, sub.publicKeyPem, {
    ...fields,
    isCa: true,
  });
  const end = await createKeyPair();
  const leaf = issueCertificate(
    { certificatePem: subCa, privateKeyPem: sub.privateKeyPem },
    end.publicKeyPem,
    { ...fields, hosts: ['localhost'], usage: 'server' },
  );
  const client = issueCertificate({ certificatePem, privateKeyPem }, end.publicKeyPem, {
    ...fields,
    usage: 'client',
  });
  const [ca] = await authorities.list('g');
  const check = async (pem: string, purpose: string) => {
    for (const [name, content] of Object.entries({
      leaf: pem,
      ca: ca?.certificatePem ?? '',
      between: `${certificatePem}\n${subCa}`,
    }))
      writeFileSync(join(root, name), content);
    const { stdout, stderr } = await run(
      'openssl',
      [
        ...['verify', '-purpose', purpose, '-CAfile', join(root, 'ca')],
        ...['-untrusted', join(root, 'between'), join(root, 'leaf')],
      ],
      { timeoutMs: 10_000 },
    );
    return `${stdout}${stderr}`;
  };
  expect(await check(leaf, 'sslserver')).toMatch(/path length constraint exceeded/);
  expect(await check(client, 'sslclient')).toMatch(
    /unsuitable certificate purpose|unsupported certificate purpose/,
  );
});

it('renews the server certificate for months without the cloud, and is renewed when it is back', async () => {
  await certificate.ensure('g', ['localhost']);
  const [ca] = await authorities.list('g');
  isAway = true;
  const seen = new Set<string>();
  for (let day = 0; day < 280; day += 40) {
    nowMs += 40 * DAY_MS;
    // Also a core that restarts.
    if (day % 80 === 0) certificate = make();
    await certificate.ensure('g', ['localhost']);
    expect(left()).toBeGreaterThan(1);
    seen.add(chain()[0].fingerprint256);
  }
  expect(seen.size).toBe(7);
  expect(await verify(ca?.certificatePem ?? '')).toMatch(/: OK/);
  const old = chain()[1].fingerprint256;
  isAway = false;
  nowMs += 6 * DAY_MS;
  await certificate.ensure('g', ['localhost']);
  expect(chain()[1].fingerprint256).not.toBe(old);
  expect(await verify(ca?.certificatePem ?? '')).toMatch(/: OK/);
});

it('signs nothing that outlives it, and says that the cloud is needed once it has ended', async () => {
  await certificate.ensure('g', ['localhost']);
  isAway = true;
  nowMs += 362 * DAY_MS;
  await certificate.ensure('g', ['localhost']);
  const [leaf, intermediate] = chain();
  expect(leaf.validTo).toBe(intermediate.validTo);
  nowMs += 4 * DAY_MS;
  await expect(certificate.ensure('g', ['localhost'])).rejects.toThrow('the cloud is away');
  expect(certificate.health().healthy).toBe(false);
});

it('changes with the group CA, with the group, and where its file is torn', async () => {
  await certificate.ensure('g', ['localhost']);
  const second = await authorities.create('g');
  await certificate.ensure('g', ['localhost']);
  // Without a word of the deployment the old one goes on: discovery gives both CAs.
  expect(calls).toEqual(['intermediate']);
  expect(await authorities.trusted('g')).toHaveLength(2);
  await certificate.ensure('g', ['localhost'], second.authorityId);
  expect(calls).toHaveLength(2);
  expect(await verify(second.certificatePem)).toMatch(/: OK/);
  await certificate.ensure('other', ['localhost']);
  expect(calls).toHaveLength(3);
  writeFileSync(file('authority.json'), '{"groupId":');
  await certificate.ensure('other', ['localhost', 'b']);
  expect(calls).toEqual(['intermediate', 'intermediate', 'intermediate', 'intermediate']);
});

it('signs for an address that the operator enters later', async () => {
  await certificate.ensure('g', ['localhost']);
  addresses = ['10.20.30.40'];
  await certificate.addressesChanged();
  expect(calls).toEqual(['intermediate', 'connectivity']);
  expect(chain()[0].checkIP('10.20.30.40')).toBe('10.20.30.40');
  isAway = true;
  await certificate.addressesChanged();
});

it('does not end in the past where the core has no clock', async () => {
  await certificate.ensure('g', ['localhost']);
  nowMs = 0;
  await certificate.ensure('g', ['localhost', 'new.example']);
  expect(Date.parse(chain()[0].validTo)).toBeGreaterThan(Date.now() + 6 * DAY_MS);
});

it('is not delegated where the operator of the cloud does not want it: the cloud signs', async () => {
  authorities = new GroupAuthorities(store, '123456789012');
  await certificate.ensure('g', ['localhost']);
  await certificate.ensure('g', ['localhost']);
  expect(calls).toEqual(['intermediate', 'server']);
  expect(chain()).toHaveLength(1);
  // And where the operator of the core changes his mind, the next certificate is made the other way.
  authorities = new GroupAuthorities(store, '123456789012', 30);
  certificate = make('cloud');
  await certificate.ensure('g', ['localhost']);
  certificate = make('core');
  await certificate.ensure('g', ['localhost']);
  expect(calls).toEqual(['intermediate', 'server', 'server', 'intermediate']);
});

it('is refused where the service signs another key or with another CA', async () => {
  const { signIntermediate } = authorities;
  const foreign = await createKeyPair();
  authorities.signIntermediate = (groupId, _csr, core) =>
    signIntermediate.call(authorities, groupId, createCertificateRequest(foreign, [['CN', 'x']]), core);
  await expect(certificate.ensure('g', ['localhost'])).rejects.toThrow(/another key/);
  const { certificatePem: caPem } = await createSelfSigned({
    subject: [['CN', 'x']],
    notAfter: new Date(nowMs + DAY_MS),
    isCa: true,
  });
  authorities.signIntermediate = async (...given) => ({
    ...(await signIntermediate.apply(authorities, given)),
    caPem,
  });
  await expect(certificate.ensure('g', ['localhost'])).rejects.toThrow(/not signed by the group CA/);
  expect(certificate.load()).toBeUndefined();
});
