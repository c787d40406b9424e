/** AWS IoT: client certificates, made here or registered. Private keys are handed out once and never kept. */
import { X509Certificate } from 'node:crypto';
import { z } from '../../lib/check.js';
import { certificateId, createKeyPair, issueCertificate, readCertificateRequest } from '../../lib/x509.js';
import { certificateArn } from '../../model/arn.js';
import type { Certificate, CertificateStatus } from '../store/store.js';
import { ConflictError } from '../store/store.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { certificateIdParam, epochSeconds, nextPage } from './iot-names.js';
import type { Call, Operation } from './operation.js';
import { IOT_MARKERS, page } from './paging.js';

/** AWS IoT's certificates end with the year 2049. */
const NOT_AFTER = new Date('2049-12-31T23:59:59Z');
const SUBJECT = [['CN', 'AWS IoT Certificate']] as const;

const request = z.object({ certificateSigningRequest: z.string().min(1).max(16_384) });
const registration = z.object({
  certificatePem: z.string().min(1).max(65_536),
  status: z.enum(['ACTIVE', 'INACTIVE']).optional(),
});
const signedRegistration = registration.extend({
  caCertificatePem: z.string().min(1).max(65_536).optional(),
});
const status = z.enum(['ACTIVE', 'INACTIVE', 'REVOKED']);

export function certificateOperations(context: ApiContext): Operation[] {
  const certificates = new Certificates(context);
  const one = '/certificates/:certificateId';
  return [
    {
      name: 'CreateKeysAndCertificate',
      method: 'POST',
      path: '/keys-and-certificate',
      handle: (call) => certificates.createKeys(call),
    },
    {
      name: 'CreateCertificateFromCsr',
      method: 'POST',
      path: '/certificates',
      handle: (call) => certificates.createFromRequest(call),
    },
    {
      name: 'RegisterCertificateWithoutCA',
      method: 'POST',
      path: '/certificate/register-no-ca',
      handle: (call) => certificates.register(call),
    },
    {
      name: 'RegisterCertificate',
      method: 'POST',
      path: '/certificate/register',
      handle: (call) => certificates.registerSigned(call),
    },
    { name: 'DescribeCertificate', method: 'GET', path: one, handle: (call) => certificates.describe(call) },
    {
      name: 'ListCertificates',
      method: 'GET',
      path: '/certificates',
      handle: (call) => certificates.list(call),
    },
    { name: 'UpdateCertificate', method: 'PUT', path: one, handle: (call) => certificates.update(call) },
    { name: 'DeleteCertificate', method: 'DELETE', path: one, handle: (call) => certificates.delete(call) },
  ];
}

/** In the place of a PEM: the certificate id alone. */
const FINGERPRINT = /^sha256:([0-9a-f]{64})$/;

class Certificates {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  async createKeys(call: Call): Promise<object> {
    const initial = initialStatus(call);
    const { publicKeyPem, privateKeyPem } = await createKeyPair();
    const certificate = await this.#keep(this.#issue(publicKeyPem), initial);
    return {
      ...identify(certificate),
      certificatePem: certificate.pem,
      keyPair: { PublicKey: publicKeyPem, PrivateKey: privateKeyPem },
    };
  }

  async createFromRequest(call: Call): Promise<object> {
    const initial = initialStatus(call);
    const { certificateSigningRequest: pem } = call.json(request);
    const certificate = await this.#keep(this.#issue(publicKeyOfRequest(pem)), initial);
    return { ...identify(certificate), certificatePem: certificate.pem };
  }

  /**
   * For certificates that somebody else issued: a V1 core keeps the one it has. An extension: where only the fingerprint
   * of a device's certificate is known, as on the disk of a core, `sha256:<64 hex digits>` takes the place of the PEM.
   */
  async register(call: Call): Promise<object> {
    const { certificatePem, status: initial = 'INACTIVE' } = call.json(registration);
    const known = FINGERPRINT.exec(certificatePem)?.[1];
    if (known !== undefined) return identify(await this.#keep(certificatePem, initial, known));
    return identify(await this.#keep(readCertificate(certificatePem), initial));
  }

  /** With the CA that signed it. That CA itself needs no registration here: what counts is the certificate. */
  async registerSigned(call: Call): Promise<object> {
    const setAsActive = call.queryFlag('setAsActive') ?? false;
    const { certificatePem, caCertificatePem, status: initial } = call.json(signedRegistration);
    const pem = readCertificate(certificatePem);
    if (caCertificatePem !== undefined) {
      const ca = new X509Certificate(readCertificate(caCertificatePem, 'caCertificatePem'));
      if (!new X509Certificate(pem).verify(ca.publicKey)) {
        throw refusal(
          'CertificateValidationException',
          'certificatePem was not signed by the CA in caCertificatePem',
        );
      }
    }
    return identify(await this.#keep(pem, initial ?? (setAsActive ? 'ACTIVE' : 'INACTIVE')));
  }

  async describe(call: Call): Promise<object> {
    const certificate = await this.#find(call);
    const known = FINGERPRINT.test(certificate.pem) ? undefined : new X509Certificate(certificate.pem);
    return {
      certificateDescription: {
        ...summarize(certificate),
        certificatePem: certificate.pem,
        ownedBy: this.#context.accountId,
        lastModifiedDate: epochSeconds(certificate.createdAt),
        customerVersion: 1,
        ...(known && {
          validity: {
            notBefore: Date.parse(known.validFrom) / 1000,
            notAfter: Date.parse(known.validTo) / 1000,
          },
        }),
      },
    };
  }

  async list(call: Call): Promise<object> {
    const { items, next } = await page(call, {
      scope: 'certificates',
      names: IOT_MARKERS,
      fetch: (limit, after) => this.#context.store.certificates.list(limit, after),
      keyOf: (certificate) => certificate.certificateId,
    });
    return { certificates: items.map(summarize), ...nextPage('nextMarker', next) };
  }

  async update(call: Call): Promise<undefined> {
    const given = status.safeParse(call.query('newStatus'));
    if (!given.success) {
      throw refusal('InvalidRequestException', `newStatus must be one of ${status.options.join(', ')}.`);
    }
    const { certificateId: id } = await this.#find(call);
    await this.#context.store.certificates.setStatus(id, given.data);
    if (given.data !== 'ACTIVE') this.#context.messages.disconnectCertificate(id);
    await this.#context.deviceNotices.certificateChanged(id);
    return undefined;
  }

  async delete(call: Call): Promise<undefined> {
    const isForced = call.queryFlag('forceDelete') ?? false;
    const { store, messages } = this.#context;
    const { certificateId: id, certificateArn: arn, status: current } = await this.#find(call);
    if (current === 'ACTIVE') {
      throw refusal(
        'CertificateStateException',
        `Certificate must be deactivated (not ACTIVE) before deletion. (id: ${id})`,
      );
    }
    if ((await store.things.thingsOf(id)).length > 0) {
      throw refusal('DeleteConflictException', `Things must be detached before deletion (arn: ${arn})`);
    }
    if (!isForced && (await store.policies.policiesOf(id)).length > 0) {
      throw refusal(
        'DeleteConflictException',
        `Certificate policies must be detached before deletion (arn: ${arn})`,
      );
    }
    await store.certificates.delete(id);
    messages.disconnectCertificate(id);
    return undefined;
  }

  #issue(publicKeyPem: string): string {
    return issueCertificate(this.#context.certificateIssuer, publicKeyPem, {
      subject: SUBJECT,
      notAfter: NOT_AFTER,
      usage: 'client',
    });
  }

  async #keep(pem: string, initial: CertificateStatus, knownId?: string): Promise<Certificate> {
    const { region, accountId, store } = this.#context;
    const id = knownId ?? certificateId(pem);
    const certificate: Certificate = {
      certificateId: id,
      certificateArn: certificateArn(region, accountId, id),
      pem,
      status: initial,
      createdAt: new Date().toISOString(),
    };
    try {
      await store.certificates.create(certificate);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      throw refusal('ResourceAlreadyExistsException', 'The certificate is already registered');
    }
    return certificate;
  }

  async #find(call: Call): Promise<Certificate> {
    const id = certificateIdParam(call);
    const certificate = await this.#context.store.certificates.find(id);
    if (!certificate) throw refusal('ResourceNotFoundException', `Certificate ${id} does not exist`);
    return certificate;
  }
}

function initialStatus(call: Call): CertificateStatus {
  return call.queryFlag('setAsActive') ? 'ACTIVE' : 'INACTIVE';
}

function publicKeyOfRequest(pem: string): string {
  try {
    return readCertificateRequest(pem).publicKeyPem;
  } catch (error) {
    throw unreadable('certificateSigningRequest', error);
  }
}

/** The one certificate in the text, in plain PEM form. */
function readCertificate(pem: string, member = 'certificatePem'): string {
  try {
    return new X509Certificate(pem).toString();
  } catch (error) {
    throw unreadable(member, error);
  }
}

function unreadable(member: string, error: unknown) {
  const reason = error instanceof Error ? error.message : String(error);
  return refusal('InvalidRequestException', `${member} can't be read: ${reason}`);
}

function identify({ certificateArn: arn, certificateId: id }: Certificate): object {
  return { certificateArn: arn, certificateId: id };
}

function summarize(certificate: Certificate): object {
  return {
    ...identify(certificate),
    status: certificate.status,
    certificateMode: 'DEFAULT',
    creationDate: epochSeconds(certificate.createdAt),
  };
}
