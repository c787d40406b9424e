/** Requests of Secrets Manager. */
import { z } from '../../lib/check.js';

/** Largest value in bytes. */
const MAX_VALUE = 65_536;

const name = z
  .string()
  .regex(/^[A-Za-z0-9/_+=.@-]{1,512}$/, 'must be 1 to 512 characters of A-Z a-z 0-9 /_+=.@-');
const secretId = z.string().min(1).max(2048);
const versionId = z.string().min(32, 'must be 32 to 64 characters').max(64, 'must be 32 to 64 characters');
const stage = z.string().min(1).max(256);
const description = z.string().max(2048).optional();
const kmsKeyId = z.string().max(2048).optional();
const tags = z
  .array(
    z.object({
      Key: z
        .string()
        .min(1)
        .max(128)
        .refine((key) => !/^aws:/i.test(key), 'keys that begin with aws: are reserved'),
      Value: z.string().max(256),
    }),
  )
  .max(50);

const value = {
  ClientRequestToken: versionId.optional(),
  SecretString: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= MAX_VALUE, `must have at most ${MAX_VALUE} bytes`)
    .optional(),
  /** Base64. */
  SecretBinary: z
    .string()
    .regex(/^[A-Za-z0-9+/]*={0,2}$/, 'must be base64')
    .refine((text) => Buffer.byteLength(text, 'base64') <= MAX_VALUE, `must have at most ${MAX_VALUE} bytes`)
    .optional(),
};

export const requestSchemas = {
  CreateSecret: z.object({
    Name: name,
    Description: description,
    KmsKeyId: kmsKeyId,
    Tags: tags.optional(),
    ...value,
  }),
  PutSecretValue: z.object({ SecretId: secretId, VersionStages: z.array(stage).min(1).optional(), ...value }),
  UpdateSecret: z.object({ SecretId: secretId, Description: description, KmsKeyId: kmsKeyId, ...value }),
  GetSecretValue: z.object({
    SecretId: secretId,
    VersionId: versionId.optional(),
    VersionStage: stage.optional(),
  }),
  DescribeSecret: z.object({ SecretId: secretId }),
  ListSecrets: z.object({
    MaxResults: z.number().int().min(1).max(100).optional(),
    NextToken: z.string().max(4096).optional(),
    IncludePlannedDeletion: z.boolean().optional(),
    Filters: z
      .array(
        z.object({
          Key: z.enum(['name', 'description', 'tag-key', 'tag-value', 'all']),
          Values: z.array(z.string().max(512)).min(1).max(10),
        }),
      )
      .max(10)
      .optional(),
  }),
  ListSecretVersionIds: z.object({ SecretId: secretId, IncludeDeprecated: z.boolean().optional() }),
  UpdateSecretVersionStage: z.object({
    SecretId: secretId,
    VersionStage: stage,
    MoveToVersionId: versionId.optional(),
    RemoveFromVersionId: versionId.optional(),
  }),
  DeleteSecret: z.object({
    SecretId: secretId,
    RecoveryWindowInDays: z.number().int().optional(),
    ForceDeleteWithoutRecovery: z.boolean().optional(),
  }),
  RestoreSecret: z.object({ SecretId: secretId }),
  TagResource: z.object({ SecretId: secretId, Tags: tags }),
  UntagResource: z.object({ SecretId: secretId, TagKeys: z.array(z.string().max(128)).max(50) }),
} as const;

export type Checked<K extends keyof typeof requestSchemas> = z.output<(typeof requestSchemas)[K]>;
