/**
 * Who is at the other end of a TLS connection: the registered, ACTIVE certificate with the peer's fingerprint, its
 * policies and its things. TLS has proved that the peer holds the key; the registry decides everything else, as AWS IoT
 * does. Broker and HTTPS share this one decision.
 */
import type { TLSSocket } from 'node:tls';
import { certificateIdOfDer } from '../../lib/x509.js';
import type { Store } from '../store/store.js';
import { isAllowed, type PolicyRequest } from './policy.js';

/** Certificate id of the peer, or undefined where it showed none, or one that has expired. */
export function peerCertificateId(socket: TLSSocket): string | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (!certificate || Date.parse(certificate.validTo) < Date.now()) return undefined;
  return certificateIdOfDer(certificate.raw);
}

export type Registry = Pick<Store, 'certificates' | 'policies' | 'things'>;

/** True where the certificate is registered and ACTIVE. */
export async function isActive(store: Registry, certificateId: string): Promise<boolean> {
  return (await store.certificates.find(certificateId))?.status === 'ACTIVE';
}

/** The documents of the policies that are attached to the certificate. */
export async function policyDocumentsOf(store: Registry, certificateId: string): Promise<string[]> {
  return (await store.policies.policiesOf(certificateId)).map(({ document }) => document);
}

/** True where the policies attached to the certificate allow the request. */
export async function mayDo(
  store: Registry,
  certificateId: string,
  request: PolicyRequest,
): Promise<boolean> {
  return isAllowed(await policyDocumentsOf(store, certificateId), request);
}
