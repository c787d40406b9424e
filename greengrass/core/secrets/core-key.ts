/** The key that a core seals its secrets under: it comes from its private key, so that the disk alone is of no use. */
import { createPrivateKey, hkdfSync } from 'node:crypto';
import { KEY_BYTES } from '../../lib/vault.js';

/** `privateKeyPem`: that of the SecretsManager principal, or where there is none the core's own. */
export function secretsKey(privateKeyPem: string): Buffer {
  const der = createPrivateKey(privateKeyPem).export({ type: 'pkcs8', format: 'der' });
  return Buffer.from(hkdfSync('sha256', der, 'greengrass', 'local secrets', KEY_BYTES));
}
