/**
 * The group document: what the cloud builds for a deployment, what the core keeps in
 * `ggc/deployment/group/group.json`. Members and spelling are those of the file that V1 cores left on disk, so that
 * tools which read it go on working. Extensions of ours are optional members.
 */
import { z } from '../lib/check.js';
import { encodingType, execution, functionEnvironment } from './function-config.js';
import { shadowSyncMember } from './shadow-sync.js';
import { subscriptionExtension } from './subscription-extension-checks.js';

const id = z
  .string()
  .regex(
    /^[a-zA-Z0-9:_-]{1,128}$/,
    'must be 1 to 128 characters of a-z, A-Z, 0-9, colon, underscore, hyphen',
  );

export const groupMember = z.object({ thingArn: z.string(), certArn: z.string() });
export type GroupMember = z.infer<typeof groupMember>;

/** One function as the core runs it: the group's settings and those that Lambda keeps (handler, runtime, digest). */
const deploymentConfiguration = z.object({
  Priority: z.number().int().optional(),
  Pinned: z.boolean().optional(),
  /** Digest of the zip, base64, as Lambda gives it. */
  CodeSha256: z.string().optional(),
  /** Size of the zip in bytes. */
  CodeSize: z.number().int().min(0).optional(),
  Description: z.string().optional(),
  Handler: z.string().optional(),
  Executable: z.string().optional(),
  ExecArgs: z.string().optional(),
  /** KB. */
  MemorySize: z.number().int().min(0).optional(),
  /** Seconds. */
  Timeout: z.number().int().min(1).optional(),
  EncodingType: encodingType.optional(),
  Runtime: z.string().optional(),
  Environment: functionEnvironment.optional(),
});
export type DeploymentConfiguration = z.infer<typeof deploymentConfiguration>;

export const groupFunction = z.object({
  FunctionArn: z.string(),
  /** Ends in the SHA-256 of the zip in hex: where the core fetches the code. Absent for system functions. */
  ArtifactArn: z.string().optional(),
  DeploymentConfiguration: deploymentConfiguration.default({}),
});
export type GroupFunction = z.infer<typeof groupFunction>;

export const groupSubscription = z.object({
  Id: z.string().optional(),
  Source: z.string(),
  Subject: z.string(),
  Target: z.string(),
  ...subscriptionExtension,
});
export type GroupSubscription = z.infer<typeof groupSubscription>;

const groupOwnerSetting = z.object({
  AutoAddGroupOwner: z.boolean().optional(),
  GroupOwner: z.string().optional(),
});

/** The group of the operating system that a model belongs to on the core (V1 1.10), and what its members may do. */
const ownerSetting = z.object({
  /** GID, or name of the group. */
  GroupOwner: z.string().optional(),
  GroupPermission: z.enum(['ro', 'rw']).optional(),
});

/** What the cloud found at the model's source. */
const modelArtifact = {
  DestinationPath: z.string(),
  OwnerSetting: ownerSetting.optional(),
  /** Ends in the SHA-256 of the bytes in hex: where the core fetches them. */
  ArtifactArn: z
    .string()
    .regex(/\/artifacts\/mlmodel\/[0-9a-f]{64}$/, 'must end in /artifacts/mlmodel/SHA-256'),
  /** Bytes. */
  Size: z.number().int().min(0),
  /** What the source is called, without its folders: the ending says whether it is unpacked. */
  FileName: z
    .string()
    .max(255)
    .regex(/^(?!\.{1,2}$)[^/\0]+$/, 'must be the name of a file'),
};

const resourceBase = { Id: id, Name: z.string().optional() };
const groupResource = z.discriminatedUnion('Type', [
  z.object({
    ...resourceBase,
    Type: z.literal('LOCAL_VOLUME'),
    Data: z.object({
      type: z.literal('LocalVolumeResourceData').optional(),
      SourcePath: z.string(),
      DestinationPath: z.string(),
      GroupOwnerSetting: groupOwnerSetting.optional(),
    }),
  }),
  z.object({
    ...resourceBase,
    Type: z.literal('LOCAL_DEVICE'),
    Data: z.object({
      type: z.literal('LocalDeviceResourceData').optional(),
      SourcePath: z.string(),
      GroupOwnerSetting: groupOwnerSetting.optional(),
    }),
  }),
  z.object({
    ...resourceBase,
    Type: z.literal('ML_MODEL_S3_OBJECT'),
    Data: z.object({
      type: z.literal('S3MachineLearningModelResourceData').optional(),
      S3Uri: z.string(),
      ...modelArtifact,
    }),
  }),
  z.object({
    ...resourceBase,
    Type: z.literal('ML_MODEL_SAGEMAKER_JOB'),
    Data: z.object({
      type: z.literal('SageMakerMachineLearningModelResourceData').optional(),
      SageMakerJobArn: z.string(),
      ...modelArtifact,
    }),
  }),
  z.object({
    ...resourceBase,
    Type: z.literal('SECRETS_MANAGER_SECRET'),
    Data: z.object({
      type: z.literal('SecretsManagerSecretResourceData').optional(),
      ARN: z.string(),
      AdditionalStagingLabelsToDownload: z.array(z.string()).optional(),
      Name: z.string(),
      /** The versions that are deployed; their values travel apart from the document. */
      Versions: z.array(z.object({ VersionId: z.string(), Stages: z.array(z.string()) })),
    }),
  }),
]);
export type GroupResource = z.infer<typeof groupResource>;
export type SecretResource = Extract<GroupResource, { Type: 'SECRETS_MANAGER_SECRET' }>;
export type LocalResource = Extract<GroupResource, { Type: 'LOCAL_VOLUME' | 'LOCAL_DEVICE' }>;
export type ModelResource = Extract<GroupResource, { Type: 'ML_MODEL_S3_OBJECT' | 'ML_MODEL_SAGEMAKER_JOB' }>;

export function isModelResource(resource: GroupResource): resource is ModelResource {
  return resource.Type === 'ML_MODEL_S3_OBJECT' || resource.Type === 'ML_MODEL_SAGEMAKER_JOB';
}

/** The secret resources of a group. */
export function secretResources(group: {
  readonly GroupDefinitions: { readonly Resources: { readonly Content: readonly GroupResource[] } };
}): SecretResource[] {
  return group.GroupDefinitions.Resources.Content.filter(
    (resource) => resource.Type === 'SECRETS_MANAGER_SECRET',
  );
}

export const groupLogger = z.object({
  Type: z.enum(['FileSystem', 'AWSCloudWatch']),
  Component: z.enum(['GreengrassSystem', 'Lambda']),
  Level: z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL']),
  /** KB; FileSystem only. */
  Space: z.number().int().min(1).optional(),
});
export type GroupLogger = z.infer<typeof groupLogger>;

function content<S extends z.ZodType>(schema: S) {
  return z
    .object({ ref: z.null().optional(), Content: z.array(schema).default([]) })
    .default({ Content: [] });
}

const groupDefinitions = z
  .object({
    Resources: content(groupResource),
    Lambdas: content(groupFunction),
    Subscriptions: content(groupSubscription),
    Logging: content(groupLogger),
    /** Things whose shadows are kept in step with the cloud. */
    ShadowSync: content(shadowSyncMember),
    /** Ids of the certificates that devices of the group may connect with. */
    ClientCertFingerprints: content(z.string()),
    /** Extension: DefaultConfig of the function definition version. */
    DefaultFunctionExecution: execution.optional(),
  })
  .default({
    Resources: { Content: [] },
    Lambdas: { Content: [] },
    Subscriptions: { Content: [] },
    Logging: { Content: [] },
    ShadowSync: { Content: [] },
    ClientCertFingerprints: { Content: [] },
  });

/** `{}` is a document too: the empty group (V1's guide repairs a core with it). */
export const groupDocument = z.object({
  $Schema: z.null().optional(),
  /** ARN of the group version. */
  Arn: z.string().optional(),
  Version: z.string().nullable().optional(),
  Region: z.string().nullable().optional(),
  Cores: z.array(groupMember).default([]),
  Devices: z.array(groupMember).default([]),
  /** Extension: id of the group CA that is the active one, which the local MQTT server's certificate must be signed by. */
  GroupCertificateAuthorityId: z.string().optional(),
  GroupDefinitions: groupDefinitions,
});
export type GroupDocument = z.output<typeof groupDocument>;

/** What a core has before its first deployment. */
export const EMPTY_GROUP: GroupDocument = groupDocument.parse({});
