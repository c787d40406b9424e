/** Who may give a core its software: the holders of keys whose public halves lie on it. */
import { createPublicKey, verify } from 'node:crypto';

const KEY = /-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----/g;

/**
 * True where the signature (base64) of the digest is by one of the public keys: several PEM blocks may stand in one
 * file, so that a key can be followed by another. Where there is none, nothing is.
 */
export function isSigned(digest: Uint8Array, signature: string, publicKeysPem: string): boolean {
  const keys = publicKeysPem.match(KEY) ?? [];
  return keys.some((pem) => {
    const key = createPublicKey(pem);
    const algorithm = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
    return verify(algorithm, digest, key, Buffer.from(signature, 'base64'));
  });
}
