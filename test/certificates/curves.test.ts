/** Keys of elliptic curves, as operators and security chips bring them: in requests, in certificates, in TLS. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { run } from '../../greengrass/lib/subprocess.js';
import {
  type CertifiedKey,
  createCertificateRequest,
  createSelfSigned,
  issueCertificate,
  type KeyPairPem,
  readCertificateRequest,
} from '../../greengrass/lib/x509.js';

const tomorrow = new Date(Date.now() + 86_400_000);
const keyOf = (namedCurve: string): KeyPairPem => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
};
const requestOf = (keys: KeyPairPem) =>
  createCertificateRequest(keys, [['CN', 'core']], ['localhost', '10.0.0.7']);

let ca: CertifiedKey;
beforeAll(async () => {
  ca = await createSelfSigned({ subject: [['CN', 'group CA']], notAfter: tomorrow, isCa: true });
});

describe.each(['prime256v1', 'secp384r1'])('a key of curve %s', (curve) => {
  const keys = keyOf(curve);

  it('makes a request that OpenSSL understands, and that is read with its names', async () => {
    const csr = requestOf(keys);
    expect(readCertificateRequest(csr)).toEqual({
      publicKeyPem: keys.publicKeyPem,
      hosts: ['localhost', '10.0.0.7'],
      commonName: 'core',
    });
    const { code, stdout, stderr } = await run('openssl', ['req', '-verify', '-noout', '-text'], {
      input: csr,
    });
    expect([code, stdout + stderr]).toEqual([0, expect.stringMatching(/verify OK/)]);
    expect(stdout).toContain('DNS:localhost, IP Address:10.0.0.7');
  });

  it('reads a request that OpenSSL made', async () => {
    const csr = await opensslRequest(keys);
    expect(readCertificateRequest(csr)).toEqual({
      publicKeyPem: keys.publicKeyPem,
      hosts: [],
      commonName: 'chip',
    });
  });

  it('gets a certificate that TLS takes', async () => {
    const cert = issueCertificate(ca, keys.publicKeyPem, {
      subject: [['CN', 'core']],
      notAfter: tomorrow,
      hosts: ['localhost'],
      usage: 'server',
    });
    const certificate = new X509Certificate(cert);
    expect(certificate.checkIssued(new X509Certificate(ca.certificatePem))).toBe(true);
    expect(certificate.verify(createPublicKey(ca.certificatePem))).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(keys.privateKeyPem))).toBe(true);
    const server = createServer({ cert, key: keys.privateKeyPem }, (socket) => socket.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: '127.0.0.1', servername: 'localhost', port, ca: ca.certificatePem });
    const [data] = (await once(socket, 'data')) as [Buffer];
    expect([data.toString(), socket.authorized]).toEqual(['hello', true]);
    socket.destroy();
    server.close();
  });
});

describe('a request', () => {
  it('of another curve is refused', async () => {
    const csr = await opensslRequest(keyOf('secp521r1'));
    expect(() => readCertificateRequest(csr)).toThrow(/RSA, or of curve P-256 or P-384/);
  });

  it('whose sender does not hold the key is refused', () => {
    const [own, other] = [keyOf('prime256v1'), keyOf('prime256v1')];
    const csr = requestOf({ publicKeyPem: own.publicKeyPem, privateKeyPem: other.privateKeyPem });
    expect(() => readCertificateRequest(csr)).toThrow(/does not verify/);
  });

  it('that is cut anywhere is refused, and changed anywhere refused or the same', () => {
    const csr = requestOf(keyOf('prime256v1'));
    const der = Buffer.from(csr.replace(/-----.*-----|\n/g, ''), 'base64');
    const pem = (bytes: Buffer) =>
      `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    const whole = readCertificateRequest(pem(der));
    expect(whole.commonName).toBe('core');
    for (let at = 0; at < der.length; at++) {
      expect(() => readCertificateRequest(pem(der.subarray(0, at)))).toThrow();
      const changed = Buffer.from(der);
      changed[at] = (changed[at] as number) ^ 0x10;
      // Some bits of the wrapping are not signed and mean nothing.
      let read: unknown = whole;
      try {
        read = readCertificateRequest(pem(changed));
      } catch {
        // Refused.
      }
      expect(read).toEqual(whole);
    }
  });
});

/** A request as OpenSSL makes it for the key. */
async function opensslRequest(keys: KeyPairPem): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'greengrass-curves-'));
  try {
    const file = join(folder, 'key.pem');
    writeFileSync(file, keys.privateKeyPem, { mode: 0o600 });
    const { stdout } = await run('openssl', ['req', '-new', '-key', file, '-subj', '/CN=chip']);
    return stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
