/** Content of the seven kinds of definition versions: members and types of the API's model. */
import { z } from '../../lib/check.js';
import type { DefinitionKind } from '../store/store.js';

const id = z
  .string()
  .regex(
    /^[a-zA-Z0-9:_-]{1,128}$/,
    'must be 1 to 128 characters of a-z, A-Z, 0-9, colon, underscore, hyphen',
  );
const text = z.string().max(65_536);
const arn = z.string().max(2048);
const wholeNumber = z.number().int().min(0).max(2_147_483_647);
const strings = z.record(z.string(), text);

const member = z.object({
  Id: id,
  ThingArn: arn,
  CertificateArn: arn,
  SyncShadow: z.boolean().optional(),
});

const execution = z.object({
  // Any text: a wrong one is refused with V1's own words, in definition-checks.ts.
  IsolationMode: text.optional(),
  RunAs: z.object({ Uid: wholeNumber.optional(), Gid: wholeNumber.optional() }).optional(),
});

const functionMember = z.object({
  Id: id,
  FunctionArn: arn.optional(),
  FunctionConfiguration: z
    .object({
      EncodingType: z.enum(['binary', 'json']).optional(),
      Environment: z
        .object({
          AccessSysfs: z.boolean().optional(),
          Execution: execution.optional(),
          ResourceAccessPolicies: z
            .array(z.object({ ResourceId: id, Permission: z.enum(['ro', 'rw']).optional() }))
            .max(20)
            .optional(),
          Variables: strings.optional(),
        })
        .optional(),
      ExecArgs: text.optional(),
      Executable: text.optional(),
      /** KB. */
      MemorySize: wholeNumber.optional(),
      Pinned: z.boolean().optional(),
      /** Seconds. */
      Timeout: wholeNumber.min(1).optional(),
      FunctionRuntimeOverride: text.optional(),
    })
    .optional(),
});

const groupOwnerSetting = z.object({
  AutoAddGroupOwner: z.boolean().optional(),
  GroupOwner: text.optional(),
});
const ownerSetting = z.object({ GroupOwner: text, GroupPermission: z.enum(['ro', 'rw']) });

const resource = z.object({
  Id: id,
  Name: id,
  ResourceDataContainer: z.object({
    LocalDeviceResourceData: z
      .object({ GroupOwnerSetting: groupOwnerSetting.optional(), SourcePath: text.optional() })
      .optional(),
    LocalVolumeResourceData: z
      .object({
        DestinationPath: text.optional(),
        GroupOwnerSetting: groupOwnerSetting.optional(),
        SourcePath: text.optional(),
      })
      .optional(),
    S3MachineLearningModelResourceData: z
      .object({
        DestinationPath: text.optional(),
        OwnerSetting: ownerSetting.optional(),
        S3Uri: text.optional(),
      })
      .optional(),
    SageMakerMachineLearningModelResourceData: z
      .object({
        DestinationPath: text.optional(),
        OwnerSetting: ownerSetting.optional(),
        SageMakerJobArn: arn.optional(),
      })
      .optional(),
    SecretsManagerSecretResourceData: z
      .object({
        AdditionalStagingLabelsToDownload: z.array(text).max(20).optional(),
        ARN: arn.optional(),
      })
      .optional(),
  }),
});

const subscription = z.object({ Id: id, Source: arn, Subject: text, Target: arn });

const logger = z.object({
  Component: z.enum(['GreengrassSystem', 'Lambda']),
  Id: id,
  Level: z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL']),
  /** KB. */
  Space: wholeNumber.optional(),
  Type: z.enum(['FileSystem', 'AWSCloudWatch']),
});

const connector = z.object({ ConnectorArn: arn, Id: id, Parameters: strings.optional() });

/** Most entities of one version: V1's largest quota, the subscriptions of a group. */
const MAX_ENTITIES = 10_000;

function list<S extends z.ZodType>(entity: S) {
  return z.array(entity).max(MAX_ENTITIES).optional();
}

export const functionContent = z.object({
  DefaultConfig: z.object({ Execution: execution.optional() }).optional(),
  Functions: list(functionMember),
});
export const subscriptionContent = z.object({ Subscriptions: list(subscription) });
export const resourceContent = z.object({ Resources: list(resource) });
export const coreContent = z.object({ Cores: list(member) });

export type FunctionContent = z.output<typeof functionContent>;
export type SubscriptionContent = z.output<typeof subscriptionContent>;
export type ResourceContent = z.output<typeof resourceContent>;

export const CONTENT = {
  cores: coreContent,
  devices: z.object({ Devices: list(member) }),
  functions: functionContent,
  subscriptions: subscriptionContent,
  resources: resourceContent,
  loggers: z.object({ Loggers: list(logger) }),
  connectors: z.object({ Connectors: list(connector) }),
} as const satisfies Record<DefinitionKind, z.ZodType>;
