/**
 * Seals what the database must not hold in the clear: AES-256-GCM under a master key that lies beside the database, not in
 * it. What is sealed is bound to its name: it can't be put in another's place.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import type { SettingStore } from './store.js';

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export class Vault {
  readonly #key: Buffer;

  /** `key`: 32 bytes. */
  constructor(key: Buffer) {
    this.#key = key;
  }

  seal(name: string, plain: Uint8Array): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(name));
    const body = Buffer.concat([cipher.update(plain), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64');
  }

  /** Throws where the text was sealed under another name or key, or was changed. */
  open(name: string, sealed: string): Buffer {
    const bytes = Buffer.from(sealed, 'base64');
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const tag = bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(name))
      .setAuthTag(tag);
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
  }
}

/**
 * The vault of this installation. The first start makes the key file (mode 0600); the database remembers the key's
 * fingerprint, so that a replica with another file, or a restored database without its file, says so instead of
 * sealing under a second key.
 */
export async function openVault(keyFile: string, settings: SettingStore): Promise<Vault> {
  const known = await settings.get('masterKeyFingerprint');
  if (!existsSync(keyFile)) {
    if (known !== undefined) {
      throw new Error(
        `${keyFile} is missing: it is the master key that the secrets of this database are sealed with. Copy it from the replica or the backup that has it.`,
      );
    }
    writeFileAtomic(keyFile, `${randomBytes(KEY_BYTES).toString('base64')}\n`, 0o600);
  }
  const key = Buffer.from(readFileSync(keyFile, 'utf8').trim(), 'base64');
  if (key.length !== KEY_BYTES) throw new Error(`${keyFile}: must hold ${KEY_BYTES} bytes in base64`);
  const fingerprint = createHash('sha256').update(key).digest('hex');
  if (known === undefined) await settings.set('masterKeyFingerprint', fingerprint);
  else if (known !== fingerprint) {
    throw new Error(
      `${keyFile} is not the master key that the secrets of this database are sealed with. Copy it from the replica or the backup that has it.`,
    );
  }
  return new Vault(key);
}
