/**
 * Keys, certificate requests, certificates. The only importer of node-forge, which only builds and reads the
 * structures; keys are made, and signatures made and those of ours verified, by node:crypto. node-forge knows RSA only:
 * where the key is an elliptic curve's, it builds the structure around a placeholder, which is then replaced.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import forge from 'node-forge';
import { bitString, children, decode, encode, OCTET_STRING, objectId, sequence } from './der.js';

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
  /** Of a CA: how many CAs may follow below it; absent: any number. */
  readonly pathLength?: number;
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

/** A self-signed certificate: a root. `given`: an RSA key to make it for; absent: a new one. */
export async function createSelfSigned(fields: CertificateFields, given?: KeyPairPem): Promise<CertifiedKey> {
  const keys = given ?? (await createKeyPair());
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
  const key = createPublicKey(publicKeyPem);
  if (isCurve(key)) return buildForCurve(fields, key, issuerName, issuer);
  return build(fields, forge.pki.publicKeyFromPem(publicKeyPem), issuerName, issuer.privateKeyPem, issuer);
}

/** PKCS#10 request for the key, with the given hosts as subjectAltName. */
export function createCertificateRequest(
  keys: KeyPairPem,
  subject: ReadonlyArray<readonly [string, string]>,
  hosts: readonly string[] = [],
): string {
  const request = forge.pki.createCertificationRequest();
  const key = createPublicKey(keys.publicKeyPem);
  request.publicKey = isCurve(key) ? PLACEHOLDER : forge.pki.publicKeyFromPem(keys.publicKeyPem);
  request.setSubject(attributes(subject));
  if (hosts.length > 0) {
    request.setAttributes([
      { name: 'extensionRequest', extensions: [{ name: 'subjectAltName', altNames: altNames(hosts) }] },
    ]);
  }
  if (isCurve(key)) {
    const structure = derOf(STRUCTURES.getCertificationRequestInfo(request));
    const info = withKey(structure, REQUEST_KEY, key);
    const signature = sign('sha256', info, createPrivateKey(keys.privateKeyPem));
    const algorithm = sequence(objectId(ECDSA_SHA256));
    return pemOf('CERTIFICATE REQUEST', sequence(info, algorithm, bitString(signature)));
  }
  request.sign(
    signer(keys.privateKeyPem, () => STRUCTURES.getCertificationRequestInfo(request)),
    forge.md.sha256.create(),
  );
  return forge.pki.certificationRequestToPem(request);
}

export interface CertificateRequest {
  readonly publicKeyPem: string;
  readonly hosts: readonly string[];
  readonly commonName: string | undefined;
}

/** Reads a PKCS#10 request and proves that its sender holds the key. Throws where it is broken or not its own. */
export function readCertificateRequest(pem: string): CertificateRequest {
  const ofCurve = readCurveRequest(pem);
  if (ofCurve) return { ...namesOf(ofCurve.request), publicKeyPem: ofCurve.publicKeyPem };
  const request = forge.pki.certificationRequestFromPem(pem, true);
  // Before anything is computed with it: a key of many thousand bits would block the process for minutes.
  const { n, e } = request.publicKey as forge.pki.rsa.PublicKey;
  if (n.bitLength() < 2048 || n.bitLength() > 4096 || e.bitLength() > 32) {
    throw new Error(
      'the key of a certificate request must be RSA of 2048 to 4096 bits, or of curve P-256 or P-384',
    );
  }
  if (!request.verify()) throw new Error('the signature of the certificate request does not verify');
  const publicKeyPem = forge.pki.publicKeyToPem(request.publicKey as forge.pki.rsa.PublicKey);
  return { ...namesOf(request), publicKeyPem };
}

function namesOf(request: forge.pki.CertificateSigningRequest): Omit<CertificateRequest, 'publicKeyPem'> {
  const extensions = request.getAttribute({ name: 'extensionRequest' })?.extensions as
    | Array<{ name?: string; altNames?: Array<{ type: number; value: string; ip?: string }> }>
    | undefined;
  const names = extensions?.find((extension) => extension.name === 'subjectAltName')?.altNames ?? [];
  const commonName = request.subject.getField('CN') as { value?: unknown } | null;
  return {
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
  const certificate = structureOf(fields, publicKey, issuer, issuerCertificate);
  certificate.sign(
    signer(issuerKeyPem, () => STRUCTURES.getTBSCertificate(certificate)),
    forge.md.sha256.create(),
  );
  return forge.pki.certificateToPem(certificate).replaceAll('\r\n', '\n');
}

/** A certificate for a key of a curve, signed by an RSA issuer. */
function buildForCurve(
  fields: CertificateFields,
  key: KeyObject,
  issuerName: forge.pki.CertificateField[],
  issuer: CertifiedKey,
): string {
  const certificate = structureOf(fields, PLACEHOLDER, issuerName, issuer, keyIdentifier(key));
  const algorithm = forge.pki.oids.sha256WithRSAEncryption as string;
  certificate.signatureOid = algorithm;
  certificate.siginfo.algorithmOid = algorithm;
  const toBeSigned = withKey(derOf(STRUCTURES.getTBSCertificate(certificate)), CERTIFICATE_KEY, key);
  const signature = sign('sha256', toBeSigned, createPrivateKey(issuer.privateKeyPem));
  const named = children(toBeSigned)[CERTIFICATE_ALGORITHM] as Buffer;
  return pemOf('CERTIFICATE', sequence(toBeSigned, named, bitString(signature)));
}

function structureOf(
  fields: CertificateFields,
  publicKey: forge.pki.rsa.PublicKey,
  issuer: forge.pki.CertificateField[],
  issuerCertificate?: CertifiedKey,
  subjectKeyIdentifier?: Buffer,
): forge.pki.Certificate {
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
  certificate.setExtensions(extensions(fields, issuerCertificate, subjectKeyIdentifier));
  return certificate;
}

function extensions(fields: CertificateFields, issuer?: CertifiedKey, keyIdentifier?: Buffer): object[] {
  const list: object[] = [
    {
      name: 'basicConstraints',
      critical: true,
      cA: fields.isCa === true,
      ...(fields.pathLength === undefined ? {} : { pathLenConstraint: fields.pathLength }),
    },
    keyIdentifier
      ? { id: SUBJECT_KEY_IDENTIFIER, value: encode(OCTET_STRING, keyIdentifier).toString('latin1') }
      : { name: 'subjectKeyIdentifier' },
  ];
  if (fields.isCa) list.push({ name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true });
  else list.push({ name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true });
  if (issuer) {
    const key = forge.pki.certificateFromPem(issuer.certificatePem).generateSubjectKeyIdentifier().getBytes();
    list.push({ name: 'authorityKeyIdentifier', keyIdentifier: key });
  }
  // In a CA it limits what the certificates below it are good for.
  if (fields.usage) {
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

// --- Keys of elliptic curves ---

const CURVES = new Set(['prime256v1', 'secp384r1']);
/** Signature algorithms that a request of such a key may name, as encoded object ids. */
const ECDSA_SHA256 = '2a8648ce3d040302';
const ECDSA: Readonly<Record<string, string>> = {
  [ECDSA_SHA256]: 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
};
const SUBJECT_KEY_IDENTIFIER = '2.5.29.14';
/** Where in the structures the public key and the algorithm of the signature stand. */
const REQUEST_KEY = 2;
const CERTIFICATE_KEY = 6;
const CERTIFICATE_ALGORITHM = 2;
/** An RSA key that keeps the place; nothing is ever computed with it. */
const PLACEHOLDER = forge.pki.rsa.setPublicKey(
  new forge.jsbn.BigInteger('c0ffee', 16),
  new forge.jsbn.BigInteger('10001', 16),
);

/** What node-forge has and its types lack: the parts that are signed. */
const STRUCTURES = forge.pki as unknown as {
  getCertificationRequestInfo(request: forge.pki.CertificateSigningRequest): forge.asn1.Asn1;
  getTBSCertificate(certificate: forge.pki.Certificate): forge.asn1.Asn1;
};

/**
 * What node-forge takes for an RSA key when it has something signed with SHA-256. Its own arithmetic blocks the
 * process for some 50 ms; OpenSSL needs one.
 */
function signer(privateKeyPem: string, toBeSigned: () => forge.asn1.Asn1): forge.pki.rsa.PrivateKey {
  const key = createPrivateKey(privateKeyPem);
  const own = { sign: () => sign('sha256', derOf(toBeSigned()), key).toString('latin1') };
  // sign() of its certificates and requests calls nothing else of a key; its types ask for the numbers too.
  return own as unknown as forge.pki.rsa.PrivateKey;
}

function isCurve(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && CURVES.has(key.asymmetricKeyDetails?.namedCurve ?? '');
}

/** The request where its key is one of the curves, its signature verified; undefined where it is anything else. */
function readCurveRequest(
  pem: string,
): { request: forge.pki.CertificateSigningRequest; publicKeyPem: string } | undefined {
  const [message] = forge.pem.decode(pem);
  const [info, algorithm, signature] = children(Buffer.from(message?.body ?? '', 'latin1'));
  const spki = info && children(info)[REQUEST_KEY];
  if (!info || !algorithm || !signature || !spki) throw new Error('it is not complete');
  // RSA keys are looked at by their size first, and elsewhere.
  const [keyAlgorithm] = children(spki);
  if (!keyAlgorithm?.includes(objectId(EC_PUBLIC_KEY))) return undefined;
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  if (!isCurve(key))
    throw new Error('the key of a certificate request must be RSA, or of curve P-256 or P-384');
  const [named] = children(algorithm);
  const digest = ECDSA[named ? decode(named).content.toString('hex') : ''];
  if (digest === undefined) throw new Error('the request is signed with an unknown algorithm');
  if (!verify(digest, info, key, decode(signature).content.subarray(1)))
    throw new Error('the signature of the certificate request does not verify');
  const structure = replaced(info, REQUEST_KEY, derOf(forge.pki.publicKeyToAsn1(PLACEHOLDER)));
  const whole = sequence(structure, algorithm, signature);
  const request = forge.pki.certificationRequestFromAsn1(forge.asn1.fromDer(whole.toString('latin1')));
  return {
    request: request as forge.pki.CertificateSigningRequest,
    publicKeyPem: key.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

/** id-ecPublicKey */
const EC_PUBLIC_KEY = '2a8648ce3d0201';

/** SHA-1 of the public key's bits, as RFC 5280 proposes; it names the key and protects nothing. */
function keyIdentifier(key: KeyObject): Buffer {
  const bits = children(key.export({ type: 'spki', format: 'der' }))[1] as Buffer;
  return createHash('sha1').update(decode(bits).content.subarray(1)).digest();
}

function withKey(structure: Buffer, index: number, key: KeyObject): Buffer {
  return replaced(structure, index, key.export({ type: 'spki', format: 'der' }));
}

function replaced(structure: Buffer, index: number, by: Buffer): Buffer {
  return sequence(...children(structure).map((part, at) => (at === index ? by : part)));
}

function derOf(structure: forge.asn1.Asn1): Buffer {
  return Buffer.from(forge.asn1.toDer(structure).getBytes(), 'latin1');
}

function pemOf(type: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${type}-----\n${lines.join('\n')}\n-----END ${type}-----\n`;
}
