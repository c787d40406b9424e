/** Registered client certificates; the private halves are never kept. */
import type { Sql } from './sql.js';
import { type Certificate, type CertificateStatus, type CertificateStore, ConflictError } from './store.js';

interface Row {
  certificate_id: string;
  certificate_arn: string;
  pem: string;
  status: CertificateStatus;
  created_at: string;
}

export class SqlCertificates implements CertificateStore {
  constructor(readonly sql: Sql) {}

  async create(certificate: Certificate): Promise<void> {
    const created = await this.sql.run(
      `INSERT INTO certificates (certificate_id, certificate_arn, pem, status, created_at)
       VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      certificate.certificateId,
      certificate.certificateArn,
      certificate.pem,
      certificate.status,
      certificate.createdAt,
    );
    if (created === 0) throw new ConflictError(`certificate ${certificate.certificateId} exists already`);
  }

  async find(certificateId: string): Promise<Certificate | undefined> {
    const row = await this.sql.get<Row>('SELECT * FROM certificates WHERE certificate_id = ?', certificateId);
    return row && toCertificate(row);
  }

  async setStatus(certificateId: string, status: CertificateStatus): Promise<void> {
    await this.sql.run('UPDATE certificates SET status = ? WHERE certificate_id = ?', status, certificateId);
  }

  /** Takes the certificate's attachments to things and policies along. */
  delete(certificateId: string): Promise<void> {
    return this.sql.transaction(async (tx) => {
      await tx.run('DELETE FROM thing_principals WHERE certificate_id = ?', certificateId);
      await tx.run('DELETE FROM policy_targets WHERE certificate_id = ?', certificateId);
      await tx.run('DELETE FROM certificates WHERE certificate_id = ?', certificateId);
    });
  }

  async list(limit: number, after = ''): Promise<Certificate[]> {
    const rows = await this.sql.all<Row>(
      'SELECT * FROM certificates WHERE certificate_id > ? ORDER BY certificate_id LIMIT ?',
      after,
      limit,
    );
    return rows.map(toCertificate);
  }
}

function toCertificate(row: Row): Certificate {
  return {
    certificateId: row.certificate_id,
    certificateArn: row.certificate_arn,
    pem: row.pem,
    status: row.status,
    createdAt: row.created_at,
  };
}
