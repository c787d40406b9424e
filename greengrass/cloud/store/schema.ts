/** The tables of the cloud's SQLite file. A released migration is never edited; a change is a further entry. */
export const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE things (
  thing_name TEXT PRIMARY KEY, thing_id TEXT NOT NULL, thing_arn TEXT NOT NULL, attributes TEXT NOT NULL,
  thing_type_name TEXT, version INTEGER NOT NULL, created_at TEXT NOT NULL
);
CREATE TABLE thing_principals (
  thing_name TEXT NOT NULL, certificate_id TEXT NOT NULL, PRIMARY KEY (thing_name, certificate_id)
);
CREATE INDEX thing_principals_by_certificate ON thing_principals (certificate_id);
CREATE TABLE certificates (
  certificate_id TEXT PRIMARY KEY, certificate_arn TEXT NOT NULL, pem TEXT NOT NULL, status TEXT NOT NULL,
  created_at TEXT NOT NULL
);
CREATE TABLE policies (
  policy_name TEXT PRIMARY KEY, policy_arn TEXT NOT NULL, document TEXT NOT NULL, version_id TEXT NOT NULL,
  created_at TEXT NOT NULL
);
CREATE TABLE policy_targets (
  policy_name TEXT NOT NULL, certificate_id TEXT NOT NULL, PRIMARY KEY (policy_name, certificate_id)
);
CREATE INDEX policy_targets_by_certificate ON policy_targets (certificate_id);
CREATE TABLE containers (
  kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
  latest_version TEXT, tags TEXT NOT NULL, PRIMARY KEY (kind, id)
);
CREATE TABLE container_versions (
  kind TEXT NOT NULL, id TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL, created_at TEXT NOT NULL,
  content TEXT NOT NULL, PRIMARY KEY (kind, id, version)
);
CREATE UNIQUE INDEX container_versions_by_number ON container_versions (kind, id, number);
CREATE TABLE deployments (
  deployment_id TEXT PRIMARY KEY, group_id TEXT NOT NULL, number INTEGER NOT NULL, group_version_id TEXT,
  type TEXT NOT NULL, status TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
  core_thing_name TEXT, error_message TEXT, error_details TEXT, document TEXT
);
CREATE UNIQUE INDEX deployments_by_group ON deployments (group_id, number);
CREATE TABLE deployment_devices (
  thing_arn TEXT NOT NULL, deployment_id TEXT NOT NULL, PRIMARY KEY (thing_arn, deployment_id)
);
CREATE TABLE authorities (
  authority_id TEXT PRIMARY KEY, group_id TEXT NOT NULL, number INTEGER NOT NULL, certificate_pem TEXT NOT NULL,
  private_key_pem TEXT NOT NULL, created_at TEXT NOT NULL
);
CREATE UNIQUE INDEX authorities_by_group ON authorities (group_id, number);
CREATE TABLE authority_settings (group_id TEXT PRIMARY KEY, server_certificate_expiry_ms INTEGER NOT NULL);
CREATE TABLE connectivity (thing_name TEXT PRIMARY KEY, version TEXT NOT NULL, endpoints TEXT NOT NULL);
CREATE TABLE lambda_functions (
  function_name TEXT PRIMARY KEY, last_version INTEGER NOT NULL, published_state TEXT
);
CREATE TABLE lambda_versions (
  function_name TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL, runtime TEXT NOT NULL,
  handler TEXT NOT NULL, role TEXT NOT NULL, description TEXT NOT NULL, timeout_s INTEGER NOT NULL,
  memory_mb INTEGER NOT NULL, environment TEXT NOT NULL, code_sha256_hex TEXT NOT NULL,
  code_size_bytes INTEGER NOT NULL, revision_id TEXT NOT NULL, last_modified TEXT NOT NULL,
  PRIMARY KEY (function_name, version)
);
CREATE TABLE lambda_aliases (
  function_name TEXT NOT NULL, name TEXT NOT NULL, function_version TEXT NOT NULL, description TEXT NOT NULL,
  revision_id TEXT NOT NULL, PRIMARY KEY (function_name, name)
);
CREATE TABLE shadows (thing_name TEXT PRIMARY KEY, version INTEGER NOT NULL, document TEXT);
CREATE TABLE roles (scope TEXT PRIMARY KEY, role_arn TEXT NOT NULL, associated_at TEXT NOT NULL);
CREATE TABLE tokens (
  token_key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, response TEXT NOT NULL, given_at TEXT NOT NULL
);
CREATE INDEX tokens_by_time ON tokens (given_at);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE access_keys (
  access_key_id TEXT PRIMARY KEY, secret_access_key TEXT NOT NULL, created_at TEXT NOT NULL
);
`,
];
