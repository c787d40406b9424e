/**
 * Who is at the other end of a TLS connection: the registered, ACTIVE certificate with the peer's fingerprint, its
 * policies and its things. TLS has proved that the peer holds the key; the registry decides everything else, as AWS IoT
 * does. Broker and HTTPS share this one decision.
 */
import type { TLSSocket } from 'node:tls';
import { certificateIdOfDer } from '../../lib/x509.js';
import type { Store } from '../store/store.js';
import { isAllowed, type PolicyRequest } from './policy.js';
import type { PolicyVariables } from './policy-variables.js';

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
  const documents = await policyDocumentsOf(store, certificateId);
  const variables = await withThing(store, documents, request.variables ?? {});
  return isAllowed(documents, { ...request, variables });
}

/** Policies in which a thing's type or attributes stand: only these make it worth while to read the thing. */
const OF_THE_THING = /Connection\.Thing\.(ThingTypeName|Attributes\[)/i;

/** The variables with the thing's type and attributes, where the policies speak of them. */
export async function withThing(
  store: Pick<Registry, 'things'>,
  documents: readonly string[],
  variables: PolicyVariables,
): Promise<PolicyVariables> {
  const { thingName, thingTypeName: _before, ...others } = variables;
  if (thingName === undefined || !documents.some((document) => OF_THE_THING.test(document))) return variables;
  const thing = await store.things.find(thingName);
  return {
    ...others,
    thingName,
    ...(thing?.thingTypeName === undefined ? {} : { thingTypeName: thing.thingTypeName }),
    thingAttributes: thing?.attributes ?? {},
  };
}

/** The peer's address; of one with IPv4 behind a socket for both, in IPv4's form. */
export function addressOf({
  remoteAddress,
}: {
  readonly remoteAddress?: string | undefined;
}): string | undefined {
  return remoteAddress?.replace(/^::ffff:/, '');
}
