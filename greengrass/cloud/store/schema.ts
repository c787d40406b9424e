/**
 * The tables of the cloud, for SQLite and PostgreSQL alike: plain SQL with the types TEXT, INTEGER (up to 2^53) and
 * BLOB in capitals, no triggers, no AUTOINCREMENT. A released migration is never edited; a change is a further entry.
 */
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
  `
CREATE TABLE artifacts (sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL);
CREATE TABLE artifact_chunks (
  sha256 TEXT NOT NULL, start INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (sha256, start)
);
CREATE TABLE bus_position (name TEXT PRIMARY KEY, last_id INTEGER NOT NULL, deleted_id INTEGER NOT NULL);
INSERT INTO bus_position (name, last_id, deleted_id) VALUES ('bus', 0, 0);
CREATE TABLE bus_messages (
  id INTEGER PRIMARY KEY, sender TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, headers TEXT,
  body BLOB NOT NULL, sent_at INTEGER NOT NULL, UNIQUE (sender, number)
);
`,
  `
ALTER TABLE access_keys ADD COLUMN status TEXT NOT NULL DEFAULT 'Active';
ALTER TABLE access_keys ADD COLUMN description TEXT NOT NULL DEFAULT '';
CREATE INDEX deployments_by_core ON deployments (core_thing_name);
CREATE INDEX deployments_open ON deployments (group_id) WHERE status IN ('Building', 'InProgress');
CREATE TABLE role_sessions (
  access_key_id TEXT PRIMARY KEY, secret_access_key TEXT NOT NULL, token_sha256_hex TEXT NOT NULL,
  role_arn TEXT NOT NULL, session_name TEXT NOT NULL, expires_at TEXT NOT NULL
);
CREATE INDEX role_sessions_by_expiry ON role_sessions (expires_at);
CREATE TABLE audit_log (
  request_id TEXT PRIMARY KEY, at TEXT NOT NULL, principal TEXT NOT NULL, access_key_id TEXT NOT NULL,
  remote_address TEXT NOT NULL, service TEXT NOT NULL, operation TEXT NOT NULL, resource TEXT NOT NULL,
  status INTEGER NOT NULL, error_type TEXT, error_message TEXT
);
CREATE INDEX audit_log_by_time ON audit_log (at, request_id);
CREATE TABLE runtime_configurations (thing_name TEXT PRIMARY KEY, telemetry TEXT NOT NULL);
CREATE TABLE bulk_deployments (
  bulk_id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, status TEXT NOT NULL, created_at TEXT NOT NULL,
  input_file_uri TEXT NOT NULL, execution_role_arn TEXT NOT NULL, tags TEXT NOT NULL,
  input TEXT, records_processed INTEGER NOT NULL, invalid_records INTEGER NOT NULL, retries INTEGER NOT NULL,
  error_message TEXT, error_details TEXT
);
CREATE TABLE bulk_results (
  bulk_id TEXT NOT NULL, number INTEGER NOT NULL, created_at TEXT NOT NULL, group_id TEXT NOT NULL,
  group_version_id TEXT NOT NULL, deployment_id TEXT, error_message TEXT, error_details TEXT,
  PRIMARY KEY (bulk_id, number)
);
CREATE TABLE jobs (
  job_id TEXT PRIMARY KEY, created_at TEXT NOT NULL, status TEXT NOT NULL, description TEXT NOT NULL,
  targets TEXT NOT NULL, document TEXT NOT NULL
);
CREATE TABLE secrets (
  arn TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT, kms_key_id TEXT, tags TEXT NOT NULL,
  created_at TEXT NOT NULL, changed_at TEXT NOT NULL, accessed_at TEXT, deletion_at TEXT
);
CREATE TABLE secret_versions (
  arn TEXT NOT NULL, version_id TEXT NOT NULL, created_at TEXT NOT NULL, stages TEXT NOT NULL,
  is_binary INTEGER NOT NULL, sealed TEXT NOT NULL, PRIMARY KEY (arn, version_id)
);
`,
  `
CREATE TABLE mqtt_sessions (
  client_id TEXT PRIMARY KEY, seen_at TEXT NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE INDEX mqtt_sessions_by_time ON mqtt_sessions (seen_at);
CREATE TABLE mqtt_session_filters (
  client_id TEXT NOT NULL, filter TEXT NOT NULL, qos INTEGER NOT NULL, PRIMARY KEY (client_id, filter)
);
CREATE TABLE mqtt_session_messages (
  client_id TEXT NOT NULL, message_key TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
  bytes INTEGER NOT NULL, message_id INTEGER, PRIMARY KEY (client_id, message_key)
);
CREATE TABLE retained_messages (
  topic TEXT PRIMARY KEY, payload BLOB NOT NULL, qos INTEGER NOT NULL, retained_at TEXT NOT NULL
);
`,
  `
ALTER TABLE policies ADD COLUMN last_number INTEGER NOT NULL DEFAULT 1;
CREATE TABLE policy_versions (
  policy_name TEXT NOT NULL, number INTEGER NOT NULL, document TEXT NOT NULL, created_at TEXT NOT NULL,
  PRIMARY KEY (policy_name, number)
);
INSERT INTO policy_versions (policy_name, number, document, created_at)
  SELECT policy_name, 1, document, created_at FROM policies;
`,
  `
ALTER TABLE jobs ADD COLUMN updated_at TEXT;
ALTER TABLE jobs ADD COLUMN completed_at TEXT;
ALTER TABLE jobs ADD COLUMN comment TEXT;
ALTER TABLE jobs ADD COLUMN reason_code TEXT;
CREATE TABLE job_executions (
  thing_name TEXT NOT NULL, job_id TEXT NOT NULL, status TEXT NOT NULL, status_details TEXT NOT NULL,
  version INTEGER NOT NULL, queued_at TEXT NOT NULL, started_at TEXT, updated_at TEXT NOT NULL,
  PRIMARY KEY (thing_name, job_id)
);
CREATE INDEX job_executions_by_job ON job_executions (job_id, thing_name);
CREATE TABLE software_packages (
  version TEXT NOT NULL, operating_system TEXT NOT NULL, architecture TEXT NOT NULL, sha256 TEXT NOT NULL,
  size INTEGER NOT NULL, signature TEXT NOT NULL, added_at TEXT NOT NULL,
  PRIMARY KEY (version, operating_system, architecture)
);
`,
  `
CREATE TABLE thing_types (
  name TEXT PRIMARY KEY, type_id TEXT NOT NULL, description TEXT, searchable_attributes TEXT NOT NULL,
  created_at TEXT NOT NULL, deprecated_at TEXT
);
CREATE TABLE thing_groups (
  name TEXT PRIMARY KEY, group_id TEXT NOT NULL, parent_name TEXT, description TEXT, attributes TEXT NOT NULL,
  version INTEGER NOT NULL, created_at TEXT NOT NULL
);
CREATE INDEX thing_groups_by_parent ON thing_groups (parent_name);
CREATE TABLE thing_group_members (
  group_name TEXT NOT NULL, thing_name TEXT NOT NULL, PRIMARY KEY (group_name, thing_name)
);
CREATE INDEX thing_group_members_by_thing ON thing_group_members (thing_name);
`,
  `
ALTER TABLE job_executions ADD COLUMN times_out_at TEXT;
CREATE INDEX job_executions_by_time_out ON job_executions (times_out_at);
`,
];
