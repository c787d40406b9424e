/**
 * What the cloud keeps, one interface per aggregate. All methods are asynchronous, so that an embedded SQLite and a
 * PostgreSQL server can stand behind the same names. Times are ISO 8601 strings in UTC with milliseconds.
 * A method that creates rejects with ConflictError where the name is taken; one that finds answers undefined.
 */
import type { DeploymentStatus, DeploymentType, ErrorDetail } from '../../model/deployment.js';
import type { ShadowDocument } from '../../model/shadow-document.js';
import type { AuditStore } from './audit.js';
import type { BulkDeploymentStore } from './bulk-deployments.js';
import type { JobExecutionStore } from './job-executions.js';
import type { JobStore } from './jobs.js';
import type { PolicyVersionStore } from './policy-versions.js';
import type { RetainedStore } from './retained.js';
import type { RoleSessionStore } from './role-sessions.js';
import type { RuntimeConfigurationStore } from './runtime-configurations.js';
import type { SecretStore } from './secrets.js';
import type { SessionStore } from './sessions.js';
import type { SoftwareStore } from './software.js';
import type { ThingGroupStore } from './thing-groups.js';
import type { ThingTypeStore } from './thing-types.js';

export class ConflictError extends Error {
  override readonly name = 'ConflictError';
}

export interface Thing {
  readonly thingName: string;
  readonly thingId: string;
  readonly thingArn: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly thingTypeName?: string;
  readonly version: number;
  readonly createdAt: string;
}

/** What a list of things is narrowed to. */
export interface ThingFilter {
  readonly thingTypeName?: string;
  /** Things that have the attribute; with a `value`, those that have it with that value, or one that begins with it. */
  readonly attribute?: { readonly name: string; readonly value?: string; readonly isPrefix: boolean };
}

export interface ThingStore {
  create(thing: Thing): Promise<void>;
  find(thingName: string): Promise<Thing | undefined>;
  update(thing: Thing): Promise<void>;
  delete(thingName: string): Promise<void>;
  /** Ordered by name, from `after` (exclusive) on. */
  list(limit: number, after?: string, filter?: ThingFilter): Promise<Thing[]>;
  attachPrincipal(thingName: string, certificateId: string): Promise<void>;
  detachPrincipal(thingName: string, certificateId: string): Promise<void>;
  principalsOf(thingName: string): Promise<string[]>;
  thingsOf(certificateId: string): Promise<string[]>;
}

export type CertificateStatus = 'ACTIVE' | 'INACTIVE' | 'REVOKED';

export interface Certificate {
  /** SHA-256 of the DER form, hex. */
  readonly certificateId: string;
  readonly certificateArn: string;
  readonly pem: string;
  readonly status: CertificateStatus;
  readonly createdAt: string;
}

export interface CertificateStore {
  create(certificate: Certificate): Promise<void>;
  find(certificateId: string): Promise<Certificate | undefined>;
  setStatus(certificateId: string, status: CertificateStatus): Promise<void>;
  delete(certificateId: string): Promise<void>;
  list(limit: number, after?: string): Promise<Certificate[]>;
}

export interface Policy {
  readonly policyName: string;
  readonly policyArn: string;
  /** JSON text as the user gave it. */
  readonly document: string;
  readonly versionId: string;
  readonly createdAt: string;
}

export interface PolicyStore {
  create(policy: Policy): Promise<void>;
  find(policyName: string): Promise<Policy | undefined>;
  delete(policyName: string): Promise<void>;
  list(limit: number, after?: string): Promise<Policy[]>;
  attach(policyName: string, certificateId: string): Promise<void>;
  detach(policyName: string, certificateId: string): Promise<void>;
  policiesOf(certificateId: string): Promise<Policy[]>;
  targetsOf(policyName: string): Promise<string[]>;
}

export const DEFINITION_KINDS = [
  'cores',
  'devices',
  'functions',
  'subscriptions',
  'resources',
  'loggers',
  'connectors',
] as const;
export type DefinitionKind = (typeof DEFINITION_KINDS)[number];

/** A definition, or a group: a named container of immutable versions. */
export interface Container {
  readonly kind: DefinitionKind | 'groups';
  readonly id: string;
  readonly name?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly latestVersion?: string;
  readonly tags: Readonly<Record<string, string>>;
}

export interface ContainerVersion {
  readonly kind: Container['kind'];
  readonly id: string;
  readonly version: string;
  readonly createdAt: string;
  /** The version's content as given in the request, JSON text. */
  readonly content: string;
}

export interface ContainerStore {
  /** Creates the container and, where given, its first version, in one transaction. */
  create(container: Container, initial?: ContainerVersion): Promise<void>;
  find(kind: Container['kind'], id: string): Promise<Container | undefined>;
  rename(kind: Container['kind'], id: string, name: string, updatedAt: string): Promise<void>;
  setTags(kind: Container['kind'], id: string, tags: Readonly<Record<string, string>>): Promise<void>;
  /** Deletes the container with its versions. */
  delete(kind: Container['kind'], id: string): Promise<void>;
  /** Ordered by id, from `after` (exclusive) on. */
  list(kind: Container['kind'], limit: number, after?: string): Promise<Container[]>;
  /** Adds the version and makes it the latest. */
  addVersion(version: ContainerVersion): Promise<void>;
  findVersion(kind: Container['kind'], id: string, version: string): Promise<ContainerVersion | undefined>;
  /** The same in one step with whether there is such a container at all: undefined where there is none. */
  findWithVersion(
    kind: Container['kind'],
    id: string,
    version: string,
  ): Promise<{ version?: ContainerVersion } | undefined>;
  /** Newest first; `after` is the version that the last page ended with. */
  listVersions(
    kind: Container['kind'],
    id: string,
    limit: number,
    after?: string,
  ): Promise<ContainerVersion[]>;
}

export interface Deployment {
  readonly deploymentId: string;
  readonly groupId: string;
  /** Absent for a reset. */
  readonly groupVersionId?: string;
  readonly type: DeploymentType;
  readonly status: DeploymentStatus;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly coreThingName?: string;
  readonly errorMessage?: string;
  readonly errorDetails?: readonly ErrorDetail[];
  /** The group document as built, its exact bytes as text; absent for a reset and before it was built. */
  readonly document?: string;
}

export interface DeploymentStore {
  /**
   * Under the group's next number, with its devices where it has a document. `isFollowed`: another write to the store
   * comes before anybody hears of it, and makes it durable.
   */
  create(deployment: Deployment, options?: { readonly isFollowed?: boolean }): Promise<void>;
  find(groupId: string, deploymentId: string): Promise<Deployment | undefined>;
  findById(deploymentId: string): Promise<Deployment | undefined>;
  /** Moves the deployment where `mayFollow` allows it; answers false where it was at its end already. */
  setStatus(
    deploymentId: string,
    status: DeploymentStatus,
    at: string,
    error?: { message: string; details: readonly ErrorDetail[] },
  ): Promise<boolean>;
  /**
   * Ends what is open of the group, but this one: their cores get a newer deployment. Durable with the next write to the
   * store, which is to come before anybody is answered.
   */
  supersedeOpen(groupId: string, byDeploymentId: string, at: string): Promise<void>;
  setDocument(deploymentId: string, document: string, coreThingName: string): Promise<void>;
  /** Newest first. */
  list(groupId: string, limit: number, after?: string): Promise<Deployment[]>;
  /** The one deployment of the group that is Building or InProgress. */
  findOpen(groupId: string): Promise<Deployment | undefined>;
  /** Groups with a deployment that is Building or InProgress, by id, from `after` (exclusive) on. */
  groupsWithOpen(limit: number, after?: string): Promise<string[]>;
  /** The group's last successful deployment that was not undone by a reset: what its core runs. */
  findDeployed(groupId: string): Promise<Deployment | undefined>;
  /** The group that the thing is the core of, by its newest deployment that is InProgress or deployed. */
  findGroupOfCore(coreThingName: string): Promise<string | undefined>;
  /** Last successful deployments of groups that hold the thing as a device. */
  findDeployedWithDevice(thingArn: string): Promise<Deployment[]>;
  /** Thing names of the cores that run a group with the thing as a device, or are being deployed one. */
  coresWithDevice(thingArn: string): Promise<string[]>;
}

/** The name under which changes of a group's deployments exclude each other (Exclusive.run). */
export function groupLock(groupId: string): string {
  return `group ${groupId}`;
}

export interface GroupAuthority {
  /** SHA-256 of the certificate's DER form, hex. */
  readonly authorityId: string;
  readonly groupId: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly createdAt: string;
}

export interface AuthorityStore {
  create(authority: GroupAuthority): Promise<void>;
  /** Newest (the active one) first. */
  list(groupId: string): Promise<GroupAuthority[]>;
  /** Lifetime of MQTT server certificates in ms. */
  serverCertificateExpiryMs(groupId: string): Promise<number>;
  setServerCertificateExpiryMs(groupId: string, expiryMs: number): Promise<void>;
  delete(groupId: string): Promise<void>;
}

export interface Endpoint {
  readonly Id?: string;
  readonly HostAddress?: string;
  readonly PortNumber?: number;
  readonly Metadata?: string;
}

export interface ConnectivityStore {
  find(thingName: string): Promise<{ version: string; endpoints: Endpoint[] } | undefined>;
  put(thingName: string, version: string, endpoints: readonly Endpoint[]): Promise<void>;
}

/** A published (or `$LATEST`) state of a Lambda function. */
export interface LambdaVersion {
  readonly functionName: string;
  /** Number as text, or `$LATEST`. */
  readonly version: string;
  readonly runtime: string;
  readonly handler: string;
  readonly role: string;
  readonly description: string;
  readonly timeoutS: number;
  readonly memoryMb: number;
  readonly environment: Readonly<Record<string, string>>;
  /** SHA-256 of the zip, hex: its name in the artifact store. */
  readonly codeSha256Hex: string;
  readonly codeSizeBytes: number;
  readonly revisionId: string;
  readonly lastModified: string;
}

export interface LambdaAlias {
  readonly functionName: string;
  readonly name: string;
  readonly functionVersion: string;
  readonly description: string;
  readonly revisionId: string;
}

export interface LambdaStore {
  /** Creates the function with its `$LATEST`. */
  create(latest: LambdaVersion): Promise<void>;
  /** A version number, or `$LATEST`. */
  find(functionName: string, version: string): Promise<LambdaVersion | undefined>;
  updateLatest(latest: LambdaVersion): Promise<void>;
  /** Publishes `$LATEST` under the next number; answers the last published one where nothing changed since. */
  publish(functionName: string, description?: string): Promise<LambdaVersion>;
  listFunctions(limit: number, after?: string): Promise<LambdaVersion[]>;
  /** `$LATEST` first, then the numbers upwards. */
  listVersions(functionName: string): Promise<LambdaVersion[]>;
  /** The whole function, or one version of it. */
  delete(functionName: string, version?: string): Promise<void>;
  createAlias(alias: LambdaAlias): Promise<void>;
  updateAlias(alias: LambdaAlias): Promise<void>;
  findAlias(functionName: string, name: string): Promise<LambdaAlias | undefined>;
  listAliases(functionName: string): Promise<LambdaAlias[]>;
  deleteAlias(functionName: string, name: string): Promise<void>;
}

export interface StoredShadow {
  /** Absent where the shadow was deleted; its version goes on counting. */
  readonly document?: ShadowDocument;
  readonly version: number;
}

export interface ShadowStore {
  /** `key`: the thing's name, for a named shadow with a slash and that name. */
  find(key: string): Promise<StoredShadow | undefined>;
  /** Keeps `after` where the shadow is still as `before` was found; answers false, and changes nothing, otherwise. */
  replace(key: string, before: StoredShadow | undefined, after: StoredShadow): Promise<boolean>;
  /** Names of the thing's named shadows, in their order, from `after` (exclusive) on. */
  listNames(thingName: string, limit: number, after?: string): Promise<string[]>;
}

export interface Role {
  readonly roleArn: string;
  readonly associatedAt: string;
}

export interface RoleStore {
  /** `scope`: a group id, or `account` for the service role. */
  find(scope: string): Promise<Role | undefined>;
  put(scope: string, role: Role): Promise<void>;
  delete(scope: string): Promise<void>;
}

/** Answers already given to a client token, for idempotent requests. */
export interface TokenStore {
  /** `key` holds operation and token; `fingerprint` the parameters' digest. */
  find(key: string): Promise<{ fingerprint: string; response: string } | undefined>;
  put(key: string, fingerprint: string, response: string, at: string): Promise<void>;
}

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly createdAt: string;
  /** Inactive keys sign nothing; absent: Active. */
  readonly status?: 'Active' | 'Inactive';
  /** What the operator wants to remember of it. */
  readonly description?: string;
}

/** Facts about this installation that are made once: account id, root CA, server key. */
export interface SettingStore {
  get(name: string): Promise<string | undefined>;
  set(name: string, value: string): Promise<void>;
  /** Oldest first. */
  accessKeys(): Promise<AccessKey[]>;
  addAccessKey(key: AccessKey): Promise<void>;
  /** Answers false where there is no such key. */
  setAccessKeyStatus(accessKeyId: string, status: 'Active' | 'Inactive'): Promise<boolean>;
  /** Answers false where there was no such key. */
  deleteAccessKey(accessKeyId: string): Promise<boolean>;
}

/** All of it. */
export interface Store {
  readonly things: ThingStore;
  readonly certificates: CertificateStore;
  readonly policies: PolicyStore;
  readonly containers: ContainerStore;
  readonly deployments: DeploymentStore;
  readonly authorities: AuthorityStore;
  readonly connectivity: ConnectivityStore;
  readonly lambdas: LambdaStore;
  readonly shadows: ShadowStore;
  readonly roles: RoleStore;
  readonly tokens: TokenStore;
  readonly policyVersions: PolicyVersionStore;
  readonly settings: SettingStore;
  readonly roleSessions: RoleSessionStore;
  readonly audit: AuditStore;
  readonly runtimeConfigurations: RuntimeConfigurationStore;
  readonly bulkDeployments: BulkDeploymentStore;
  readonly jobs: JobStore;
  readonly jobExecutions: JobExecutionStore;
  readonly software: SoftwareStore;
  readonly secrets: SecretStore;
  readonly sessions: SessionStore;
  readonly retained: RetainedStore;
  readonly thingTypes: ThingTypeStore;
  readonly thingGroups: ThingGroupStore;
  close(): Promise<void>;
}

/** Zips of functions and models, by digest. A folder now; any S3-compatible store later. */
export interface ArtifactStore {
  /** Keeps the bytes (once) and answers their SHA-256 in hex. */
  put(content: Uint8Array): Promise<string>;
  /** The same for what is too large for memory. */
  keep(
    content: AsyncIterable<Uint8Array>,
  ): Promise<{ readonly sha256Hex: string; readonly sizeBytes: number }>;
  /** Size in bytes, or undefined where the store has no such artifact. */
  size(sha256Hex: string): Promise<number | undefined>;
  /** The bytes from `start` to `end` (inclusive). */
  read(sha256Hex: string, start?: number, end?: number): NodeJS.ReadableStream;
}
