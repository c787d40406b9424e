/** Packages of the core software that the operator has put into the cloud; their bytes lie among the artifacts. */
import type { Sql } from './sql.js';

export interface SoftwarePackage {
  readonly version: string;
  /** V1's name (ubuntu, raspbian, …), or `linux` for all that have the GNU C library. */
  readonly operatingSystem: string;
  readonly architecture: string;
  readonly sha256: string;
  readonly size: number;
  /** Base64: of the tarball's SHA-256 digest. */
  readonly signature: string;
  readonly addedAt: string;
}

type Key = Pick<SoftwarePackage, 'version' | 'operatingSystem' | 'architecture'>;

export interface SoftwareStore {
  /** Adds the package, or takes the place of the one with the same version and platform. */
  put(software: SoftwarePackage): Promise<void>;
  list(): Promise<SoftwarePackage[]>;
  /** False where there was none. */
  remove(key: Key): Promise<boolean>;
}

interface Row {
  version: string;
  operating_system: string;
  architecture: string;
  sha256: string;
  size: number;
  signature: string;
  added_at: string;
}

export class SqlSoftware implements SoftwareStore {
  constructor(readonly sql: Sql) {}

  async put(software: SoftwarePackage): Promise<void> {
    await this.sql.run(
      `INSERT INTO software_packages
         (version, operating_system, architecture, sha256, size, signature, added_at) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (version, operating_system, architecture) DO UPDATE SET sha256 = excluded.sha256,
         size = excluded.size, signature = excluded.signature, added_at = excluded.added_at`,
      software.version,
      software.operatingSystem,
      software.architecture,
      software.sha256,
      software.size,
      software.signature,
      software.addedAt,
    );
  }

  async list(): Promise<SoftwarePackage[]> {
    const rows = await this.sql.all<Row>(
      'SELECT * FROM software_packages ORDER BY version, operating_system, architecture',
    );
    return rows.map((row) => ({
      version: row.version,
      operatingSystem: row.operating_system,
      architecture: row.architecture,
      sha256: row.sha256,
      size: row.size,
      signature: row.signature,
      addedAt: row.added_at,
    }));
  }

  async remove({ version, operatingSystem, architecture }: Key): Promise<boolean> {
    const removed = await this.sql.run(
      'DELETE FROM software_packages WHERE version = ? AND operating_system = ? AND architecture = ?',
      version,
      operatingSystem,
      architecture,
    );
    return removed > 0;
  }
}
