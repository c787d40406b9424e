/** Temporary credentials that cores got for the role of their group. */
import type { Sql } from './sql.js';

export interface RoleSession {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** SHA-256 of the session token, hex: the token itself is not kept. */
  readonly tokenSha256Hex: string;
  readonly roleArn: string;
  readonly sessionName: string;
  /** ISO 8601. */
  readonly expiresAt: string;
}

export interface RoleSessionStore {
  /** Also forgets what has expired before `forgotten` (ISO 8601). */
  create(session: RoleSession, forgotten: string): Promise<void>;
  find(accessKeyId: string): Promise<RoleSession | undefined>;
}

interface Row {
  access_key_id: string;
  secret_access_key: string;
  token_sha256_hex: string;
  role_arn: string;
  session_name: string;
  expires_at: string;
}

export class SqlRoleSessions implements RoleSessionStore {
  constructor(readonly sql: Sql) {}

  async create(session: RoleSession, forgotten: string): Promise<void> {
    await this.sql.run('DELETE FROM role_sessions WHERE expires_at < ?', forgotten);
    await this.sql.run(
      `INSERT INTO role_sessions (access_key_id, secret_access_key, token_sha256_hex, role_arn, session_name,
         expires_at) VALUES (?, ?, ?, ?, ?, ?)`,
      session.accessKeyId,
      session.secretAccessKey,
      session.tokenSha256Hex,
      session.roleArn,
      session.sessionName,
      session.expiresAt,
    );
  }

  async find(accessKeyId: string): Promise<RoleSession | undefined> {
    const row = await this.sql.get<Row>('SELECT * FROM role_sessions WHERE access_key_id = ?', accessKeyId);
    return (
      row && {
        accessKeyId: row.access_key_id,
        secretAccessKey: row.secret_access_key,
        tokenSha256Hex: row.token_sha256_hex,
        roleArn: row.role_arn,
        sessionName: row.session_name,
        expiresAt: row.expires_at,
      }
    );
  }
}
