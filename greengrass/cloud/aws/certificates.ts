/** Certificates as AWS IoT has them: whether one is registered and ACTIVE. */
import { DescribeCertificateCommand } from '@aws-sdk/client-iot';
import type { Certificate, CertificateStatus, CertificateStore } from '../store/store.js';
import type { AwsClients } from './clients.js';
import { type AwsServiceName, findAtAws, notHere } from './service-calls.js';
import { ShortCache } from './short-cache.js';

/** AWS IoT's certificate ids: SHA-256 of the DER form, as ours. */
const CERTIFICATE_ID = /^[0-9a-f]{64}$/;

export class AwsCertificates implements CertificateStore {
  readonly #clients: AwsClients;
  readonly #name: AwsServiceName;
  readonly #found = new ShortCache<Certificate | undefined>();

  constructor(clients: AwsClients) {
    this.#clients = clients;
    this.#name = clients.name('AWS IoT', 'iot');
  }

  find(certificateId: string): Promise<Certificate | undefined> {
    if (!CERTIFICATE_ID.test(certificateId)) return Promise.resolve(undefined);
    return this.#found.get(certificateId, () => this.#describe(certificateId));
  }

  readonly create = notHere('CreateKeysAndCertificate');
  readonly setStatus = notHere('UpdateCertificate');
  readonly delete = notHere('DeleteCertificate');
  readonly list = notHere('ListCertificates');

  async #describe(certificateId: string): Promise<Certificate | undefined> {
    const command = new DescribeCertificateCommand({ certificateId });
    const answer = await findAtAws(
      this.#name,
      'DescribeCertificate',
      `certificate ${certificateId}`,
      (abortSignal) => this.#clients.iot.send(command, { abortSignal }),
    );
    const found = answer?.certificateDescription;
    if (!found?.certificateArn) return undefined;
    return {
      certificateId,
      certificateArn: found.certificateArn,
      pem: found.certificatePem ?? '',
      status: statusOf(found.status),
      createdAt: (found.creationDate ?? new Date(0)).toISOString(),
    };
  }
}

/** AWS IoT knows more kinds of "not yet" (pending activation, pending transfer): none of them lets anybody in. */
function statusOf(status: string | undefined): CertificateStatus {
  return status === 'ACTIVE' || status === 'REVOKED' ? status : 'INACTIVE';
}
