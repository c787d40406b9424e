/**
 * A hybrid installation: groups, definitions, group CAs, discovery and deployments are ours; things, certificates,
 * functions and secrets are AWS's, as far as the configuration says so. This puts AWS's readers in the place of our
 * tables; the rest of the cloud does not know the difference.
 */
import type { Logger } from '../../lib/log.js';
import type { CloudShadows } from '../iot/shadows.js';
import type { ObjectSource, TrainingJobs } from '../store/object-source.js';
import type { ArtifactStore, Store } from '../store/store.js';
import { AwsCertificates } from './certificates.js';
import { AwsClients } from './clients.js';
import type { AwsConfig } from './config.js';
import { AwsDeploymentShadows } from './deployment-shadows.js';
import { AwsLambdas } from './lambdas.js';
import { leftToAws } from './left-to-aws.js';
import { AwsObjects } from './objects.js';
import { AwsPolicies } from './policies.js';
import { AwsSecrets } from './secrets.js';
import { AwsThings } from './things.js';
import { AwsTrainingJobs } from './training-jobs.js';

/** What deployments need of the shadows. */
export type DeploymentShadows = Pick<CloudShadows, 'update' | 'onUpdated'>;

export interface Hybrid {
  /** In the place of the own store, for deployments, discovery and the cores' requests. */
  readonly store: Store;
  readonly shadows: DeploymentShadows;
  /** Absent where secrets are ours. */
  readonly secrets?: AwsSecrets;
  /** Absent where objects are ours. */
  readonly objects?: ObjectSource;
  /** Absent where training jobs are a matter of names. */
  readonly trainingJobs?: TrainingJobs;
  /** Why our API refuses the service's operation; undefined where it does not. */
  leftToAws(service: string, operation: string): string | undefined;
  /**
   * AWS IoT's MQTT server, where cores connect; undefined where they connect to ours. Asked for at the start, so that
   * wrong credentials are told there: rejects with an AwsError.
   */
  mqttAddress(): Promise<{ host: string; port: number } | undefined>;
  /** Ends what is under way with AWS. */
  stop(): Promise<void>;
}

export interface HybridParts {
  readonly store: Store;
  readonly artifacts: ArtifactStore;
  readonly shadows: DeploymentShadows;
  readonly log: Logger;
}

/** Opens no connection yet. */
export function withAws(config: AwsConfig, { store, artifacts, shadows, log }: HybridParts): Hybrid {
  const clients = new AwsClients(config);
  const usesIot = config.use.has('iot');
  const awsShadows = usesIot ? new AwsDeploymentShadows({ clients, store, logger: log }) : undefined;
  const replaced: Store = {
    ...store,
    ...(awsShadows
      ? {
          things: new AwsThings(clients, config),
          certificates: new AwsCertificates(clients),
          policies: new AwsPolicies(clients, config),
          shadows: awsShadows,
        }
      : {}),
    ...(config.use.has('lambda') ? { lambdas: new AwsLambdas(clients, config, artifacts) } : {}),
  };
  return {
    store: replaced,
    shadows: awsShadows ?? shadows,
    ...(config.use.has('secretsManager') ? { secrets: new AwsSecrets(clients) } : {}),
    ...(config.use.has('s3') ? { objects: new AwsObjects(clients, config) } : {}),
    ...(config.use.has('sageMaker') ? { trainingJobs: new AwsTrainingJobs(clients, config) } : {}),
    leftToAws: (service, operation) => leftToAws(config, service, operation),
    mqttAddress: async () => (usesIot ? clients.mqttAddress() : undefined),
    stop: async () => {
      awsShadows?.stop();
      clients.destroy();
    },
  };
}
