/** What the API needs of the rest of the cloud. cloud/service.ts puts it together. */
import type { Logger } from '../../lib/log.js';
import type { Vault } from '../../lib/vault.js';
import type { CertifiedKey } from '../../lib/x509.js';
import type { CloudJobs } from '../iot/jobs/cloud-jobs.js';
import type { Exclusive } from '../store/exclusive.js';
import type { VersionSource } from '../store/found-versions.js';
import type { ArtifactStore, Deployment, GroupAuthority, Store } from '../store/store.js';
import type { ObjectFolder } from './objects.js';

/** Certificate authorities of groups. */
export interface GroupAuthorities {
  /** Makes a new one, which becomes the active one. */
  create(groupId: string): Promise<GroupAuthority>;
  /** The active one first. */
  list(groupId: string): Promise<GroupAuthority[]>;
  /** The active one; made where the group has none. */
  ensure(groupId: string): Promise<GroupAuthority>;
}

/** Builds deployments and tells cores of them. Both settle once the deployment is no longer Building. */
export interface Deployer {
  deploy(deployment: Deployment, versions?: VersionSource): Promise<boolean>;
  reset(deployment: Deployment): Promise<void>;
}

/** Answer of the shadow service: the body is that of the accepted or rejected message. */
export interface ShadowAnswer {
  readonly accepted: boolean;
  readonly body: Buffer;
  /** 200, or AWS IoT's code of the refusal. */
  readonly code: number;
}

/** Payloads of get and delete may be left out; they can hold a client token. */
export interface Shadows {
  get(thingName: string, payload?: Buffer): Promise<ShadowAnswer>;
  update(thingName: string, payload: Buffer): Promise<ShadowAnswer>;
  delete(thingName: string, payload?: Buffer): Promise<ShadowAnswer>;
}

/** Jobs of AWS IoT: changes that their things are told of. */
export type Jobs = Pick<CloudJobs, 'create' | 'cancel' | 'cancelExecution' | 'removeThing'>;

/** The cloud's MQTT server. */
export interface Messages {
  publish(topic: string, payload: Buffer, qos: 0 | 1, retain?: boolean): Promise<void>;
  /** Ends the connections that were made with the certificate. */
  disconnectCertificate(certificateId: string): void;
  /** Reads the rights of the certificate's connections again: a policy of it has changed. */
  review(certificateId: string): Promise<void>;
  readonly port: number;
}

/** Tells cores what changed about their devices between two deployments. Never rejects. */
export interface DeviceNotices {
  certificateChanged(certificateId: string): Promise<void>;
  thingChanged(thingName: string): Promise<void>;
  connectivityChanged(coreThingName: string): Promise<void>;
}

export interface ApiContext {
  readonly store: Store;
  readonly artifacts: ArtifactStore;
  readonly exclusive: Exclusive;
  /** Seals the values of secrets. */
  readonly vault: Vault;
  /** Stands in for S3: the input of bulk deployments lies there. */
  readonly objects: ObjectFolder;
  readonly region: string;
  readonly accountId: string;
  readonly authorities: GroupAuthorities;
  readonly deployer: Deployer;
  readonly deviceNotices: DeviceNotices;
  readonly shadows: Shadows;
  readonly jobs: Jobs;
  readonly messages: Messages;
  /** Signs the certificates that CreateKeysAndCertificate and CreateCertificateFromCsr hand out. */
  readonly certificateIssuer: CertifiedKey;
  /** Signs the addresses that GetFunction gives for a function's code. */
  readonly codeLocationKey: Uint8Array;
  readonly auth: 'sigv4' | 'none';
  /** Why the service's operation is refused here: a hybrid installation leaves it to AWS. */
  readonly leftToAws?: (service: string, operation: string) => string | undefined;
  readonly log: Logger;
}
