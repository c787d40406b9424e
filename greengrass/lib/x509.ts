/**
 * Keys, certificate requests, certificates. The only importer of node-forge, which only builds and reads the
 * structures; keys are made, and signatures of ours are verified, by node:crypto.
 */
import {
  createHash,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import forge from 'node-forge';

const generateKeyPairAsync = promisify(generateKeyPair);

export interface KeyPairPem {
  readonly privateKeyPem: string;
  readonly publicKeyPem: string;
}

/** A certificate together with the key that it speaks for. */
export interface CertifiedKey {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface CertificateFields {
  /** Distinguished name parts, in order, e.g. [['CN', 'core']]. Short names as in RFC 4514. */
  readonly subject: ReadonlyArray<readonly [string, string]>;
  readonly notBefore?: Date;
  readonly notAfter: Date;
  /** DNS names and IP addresses for subjectAltName. */
  readonly hosts?: readonly string[];
  readonly isCa?: boolean;
  readonly usage?: 'server' | 'client' | 'both';
}

/** RSA 2048, PKCS#1 PEM for the private key as AWS IoT hands it out. */
export async function createKeyPair(): Promise<KeyPairPem> {
  const { privateKey, publicKey } = await generateKeyPairAsync('rsa', { modulusLength: 2048 });
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

/** A self-signed certificate: a root. */
export async function createSelfSigned(fields: CertificateFields): Promise<CertifiedKey> {
  const keys = await createKeyPair();
  const name = attributes(fields.subject);
  const certificatePem = build(
    fields,
    forge.pki.publicKeyFromPem(keys.publicKeyPem),
    name,
    keys.privateKeyPem,
  );
  return { certificatePem, privateKeyPem: keys.privateKeyPem };
}

/** A certificate for `publicKeyPem`, signed by `issuer`. SHA-256 with RSA. */
export function issueCertificate(
  issuer: CertifiedKey,
  publicKeyPem: string,
  fields: CertificateFields,
): string {
  const issuerName = forge.pki.certificateFromPem(issuer.certificatePem).subject.attributes;
  return build(fields, forge.pki.publicKeyFromPem(publicKeyPem), issuerName, issuer.privateKeyPem, issuer);
}

/** PKCS#10 request for the key, with the given hosts as subjectAltName. */
export function createCertificateRequest(
  keys: KeyPairPem,
  subject: ReadonlyArray<readonly [string, string]>,
  hosts: readonly string[] = [],
): string {
  const request = forge.pki.createCertificationRequest();
  request.publicKey = forge.pki.publicKeyFromPem(keys.publicKeyPem);
  request.setSubject(attributes(subject));
  if (hosts.length > 0) {
    request.setAttributes([
      { name: 'extensionRequest', extensions: [{ name: 'subjectAltName', altNames: altNames(hosts) }] },
    ]);
  }
  request.sign(forge.pki.privateKeyFromPem(keys.privateKeyPem), forge.md.sha256.create());
  return forge.pki.certificationRequestToPem(request);
}

export interface CertificateRequest {
  readonly publicKeyPem: string;
  readonly hosts: readonly string[];
  readonly commonName: string | undefined;
}

/** Reads a PKCS#10 request and proves that its sender holds the key. Throws where it is broken or not its own. */
export function readCertificateRequest(pem: string): CertificateRequest {
  const request = forge.pki.certificationRequestFromPem(pem, true);
  // Before anything is computed with it: a key of many thousand bits would block the process for minutes.
  const { n, e } = request.publicKey as forge.pki.rsa.PublicKey;
  if (n.bitLength() < 2048 || n.bitLength() > 4096 || e.bitLength() > 32) {
    throw new Error('the key of a certificate request must be RSA, of 2048 to 4096 bits');
  }
  if (!request.verify()) throw new Error('the signature of the certificate request does not verify');
  const extensions = request.getAttribute({ name: 'extensionRequest' })?.extensions as
    | Array<{ name?: string; altNames?: Array<{ type: number; value: string; ip?: string }> }>
    | undefined;
  const names = extensions?.find((extension) => extension.name === 'subjectAltName')?.altNames ?? [];
  const commonName = request.subject.getField('CN') as { value?: unknown } | null;
  return {
    publicKeyPem: forge.pki.publicKeyToPem(request.publicKey as forge.pki.rsa.PublicKey),
    hosts: names
      .map((name) => (name.type === 7 ? (name.ip ?? '') : name.value))
      .filter((host) => host !== ''),
    commonName: typeof commonName?.value === 'string' ? commonName.value : undefined,
  };
}

/** AWS IoT's certificate id: SHA-256 of the DER form, 64 lower-case hex digits. */
export function certificateId(pem: string): string {
  return createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
}

/** Certificate id of a peer as TLS hands it out (`getPeerCertificate().raw`). */
export function certificateIdOfDer(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

/** True where the certificate carries the public half of the private key. */
export function matchesPrivateKey(certificatePem: string, privateKey: KeyObject): boolean {
  return new X509Certificate(certificatePem).checkPrivateKey(privateKey);
}

/** When the certificate ends. */
export function expiryOf(certificatePem: string): Date {
  return new Date(new X509Certificate(certificatePem).validTo);
}

/** SPKI PEM of the public key of a certificate. */
export function publicKeyOf(certificatePem: string): string {
  return createPublicKey(certificatePem).export({ type: 'spki', format: 'pem' }).toString();
}

function build(
  fields: CertificateFields,
  publicKey: forge.pki.rsa.PublicKey,
  issuer: forge.pki.CertificateField[],
  issuerKeyPem: string,
  issuerCertificate?: CertifiedKey,
): string {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  // 20 random octets, the first one with its top bit clear so that the number is positive (RFC 5280 4.1.2.2).
  const serial = randomBytes(20);
  serial[0] = ((serial[0] as number) & 0x7f) | 0x01;
  certificate.serialNumber = serial.toString('hex');
  certificate.validity.notBefore = fields.notBefore ?? new Date(Date.now() - 5 * 60_000);
  certificate.validity.notAfter = fields.notAfter;
  certificate.setSubject(attributes(fields.subject));
  certificate.setIssuer(issuer);
  certificate.setExtensions(extensions(fields, issuerCertificate));
  certificate.sign(forge.pki.privateKeyFromPem(issuerKeyPem), forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n');
}

function extensions(fields: CertificateFields, issuer?: CertifiedKey): object[] {
  const list: object[] = [
    { name: 'basicConstraints', critical: true, cA: fields.isCa === true },
    { name: 'subjectKeyIdentifier' },
  ];
  if (fields.isCa) list.push({ name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true });
  else list.push({ name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true });
  if (issuer) {
    const key = forge.pki.certificateFromPem(issuer.certificatePem).generateSubjectKeyIdentifier().getBytes();
    list.push({ name: 'authorityKeyIdentifier', keyIdentifier: key });
  }
  if (fields.usage && !fields.isCa) {
    const usage = fields.usage;
    list.push({
      name: 'extKeyUsage',
      serverAuth: usage !== 'client',
      clientAuth: usage !== 'server',
    });
  }
  if (fields.hosts && fields.hosts.length > 0) {
    list.push({ name: 'subjectAltName', altNames: altNames(fields.hosts) });
  }
  return list;
}

function altNames(hosts: readonly string[]): Array<{ type: number; value?: string; ip?: string }> {
  return hosts.map((host) => (isIP(host) ? { type: 7, ip: host } : { type: 2, value: host }));
}

function attributes(subject: ReadonlyArray<readonly [string, string]>): forge.pki.CertificateField[] {
  return subject.map(([shortName, value]) => ({ shortName, value }));
}
