/** Certificate authorities of groups; the newest of a group is the active one. */
import type { Sql } from './sql.js';
import { type AuthorityStore, ConflictError, type GroupAuthority } from './store.js';

/** Seven days: the lifetime of an MQTT server certificate where nobody set another. */
const DEFAULT_SERVER_CERTIFICATE_EXPIRY_MS = 604_800_000;

interface Row {
  authority_id: string;
  group_id: string;
  certificate_pem: string;
  private_key_pem: string;
  created_at: string;
}

export class SqlAuthorities implements AuthorityStore {
  constructor(readonly sql: Sql) {}

  async create(authority: GroupAuthority): Promise<void> {
    const created = await this.sql.transaction((tx) =>
      tx.run(
        `INSERT INTO authorities (authority_id, group_id, number, certificate_pem, private_key_pem, created_at)
       SELECT ?, ?, COALESCE(MAX(number), 0) + 1, ?, ?, ? FROM authorities WHERE group_id = ?
       ON CONFLICT DO NOTHING`,
        authority.authorityId,
        authority.groupId,
        authority.certificatePem,
        authority.privateKeyPem,
        authority.createdAt,
        authority.groupId,
      ),
    );
    if (created === 0) throw new ConflictError(`authority ${authority.authorityId} exists already`);
  }

  async list(groupId: string): Promise<GroupAuthority[]> {
    const rows = await this.sql.all<Row>(
      'SELECT * FROM authorities WHERE group_id = ? ORDER BY number DESC',
      groupId,
    );
    return rows.map((row) => ({
      authorityId: row.authority_id,
      groupId: row.group_id,
      certificatePem: row.certificate_pem,
      privateKeyPem: row.private_key_pem,
      createdAt: row.created_at,
    }));
  }

  async serverCertificateExpiryMs(groupId: string): Promise<number> {
    const row = await this.sql.get<{ expiry: number }>(
      'SELECT server_certificate_expiry_ms AS expiry FROM authority_settings WHERE group_id = ?',
      groupId,
    );
    return row?.expiry ?? DEFAULT_SERVER_CERTIFICATE_EXPIRY_MS;
  }

  async setServerCertificateExpiryMs(groupId: string, expiryMs: number): Promise<void> {
    await this.sql.run(
      `INSERT INTO authority_settings (group_id, server_certificate_expiry_ms) VALUES (?, ?)
       ON CONFLICT (group_id) DO UPDATE SET server_certificate_expiry_ms = excluded.server_certificate_expiry_ms`,
      groupId,
      expiryMs,
    );
  }

  delete(groupId: string): Promise<void> {
    return this.sql.transaction(async (tx) => {
      await tx.run('DELETE FROM authorities WHERE group_id = ?', groupId);
      await tx.run('DELETE FROM authority_settings WHERE group_id = ?', groupId);
    });
  }
}
