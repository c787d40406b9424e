/** The master key of an installation: it seals what the database must not hold in the clear, and lies beside it. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { KEY_BYTES, Vault } from '../../lib/vault.js';
import type { SettingStore } from './store.js';

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
