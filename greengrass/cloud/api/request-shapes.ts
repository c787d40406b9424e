/**
 * The API's model as validators: each shape becomes a zod schema, each operation's body the members of its input that
 * stand in the body. The model knows members, types, what is required and enums; the rules beyond that, which the
 * service had in its texts, are listed here by member. Members that the model does not know are dropped, `null` is
 * as good as absent: so the service read its requests.
 */
import { z } from '../../lib/check.js';
import type { ShapeModel } from '../../model/api-model.js';
import { GREENGRASS_API } from '../../model/greengrass-api.js';
import { subscriptionExtension } from '../../model/subscription-extension-checks.js';

/** The type of an AWS client's request or member, as a server has it after the check: what is required is there. */
export type Checked<T> =
  T extends ReadonlyArray<infer U>
    ? Array<Checked<U>>
    : T extends object
      ? {
          [K in keyof T as object extends Pick<T, K> ? never : K]: Checked<Exclude<T[K], undefined>>;
        } & { [K in keyof T as object extends Pick<T, K> ? K : never]?: Checked<Exclude<T[K], undefined>> }
      : T;

const MAX_TEXT = 65_536;
const MAX_ARN = 2048;
/** V1's largest quota is that of the subscriptions of a group. */
const MAX_ITEMS = 10_000;
export const MAX_TAGS = 50;
const INTEGER_MAX = 2_147_483_647;

const id = z
  .string()
  .regex(
    /^[a-zA-Z0-9:_-]{1,128}$/,
    'must be 1 to 128 characters of a-z, A-Z, 0-9, colon, underscore, hyphen',
  );
const arn = z.string().max(MAX_ARN);
const anyText = z.string().max(MAX_TEXT);
const name = z.string().min(1, 'must not be empty').max(2048);
/** Looked at by the operation, which refuses an empty one in V1's words. */
const newName = z.string().max(2048);

/** Tags of whatever can carry them. */
export const tags = z
  .record(
    z
      .string()
      .min(1, 'a key must not be empty')
      .max(128)
      .refine((key) => !/^aws:/i.test(key), 'keys that begin with aws: are reserved'),
    z.string().max(256),
  )
  .refine((map) => Object.keys(map).length <= MAX_TAGS, `at most ${MAX_TAGS} tags`);

/** Members whose rule is more, or other, than the model's; by structure and member. */
const RULES: Readonly<Record<string, z.ZodType>> = {
  ...Object.fromEntries(
    ['Core', 'Device', 'Function', 'Subscription', 'Resource', 'Logger', 'Connector'].map((kind) => [
      `${kind}.Id`,
      id,
    ]),
  ),
  'Resource.Name': id,
  'ResourceAccessPolicy.ResourceId': id,
  'FunctionConfiguration.Timeout': z.number().int().min(1, 'must be at least 1 second').max(INTEGER_MAX),
  'FunctionConfigurationEnvironment.ResourceAccessPolicies': z
    .lazy(() => z.array(schemaOf('ResourceAccessPolicy')))
    .refine((list) => list.length <= 20, 'at most 20 resources to a function'),
  'SecretsManagerSecretResourceData.AdditionalStagingLabelsToDownload': z.array(anyText).max(20),
  // Wrong ones are refused by the operations, in V1's words.
  'FunctionExecutionConfig.IsolationMode': anyText,
  'FunctionDefaultExecutionConfig.IsolationMode': anyText,
  'CreateDeploymentRequest.DeploymentType': z.string().max(128),
  'AssociateRoleToGroupRequest.RoleArn': anyText,
  'AssociateServiceRoleToAccountRequest.RoleArn': anyText,
  // The model says string; scripts send numbers too.
  'UpdateGroupCertificateConfigurationRequest.CertificateExpiryInMilliseconds': z.union([
    z.string().regex(/^\d{1,15}$/, 'must be a number'),
    z.number().int(),
  ]),
  'ConnectivityInfo.PortNumber': z.number().int().min(0).max(65_535),
  'ConnectivityInfo.HostAddress': z.string().max(253),
  'ConnectivityInfo.Id': z.string().max(256),
  'ConnectivityInfo.Metadata': z.string().max(1024),
  'CreateGroupRequest.Name': name,
};

/** Members beyond V1's model, by structure. */
const EXTENSIONS: Readonly<Record<string, Readonly<Record<string, z.ZodType>>>> = {
  Subscription: subscriptionExtension,
};

/** Required by the model, but an absent one is refused by the operation, in V1's words. */
const CHECKED_LATER = new Set([
  'CreateDeploymentRequest.DeploymentType',
  'AssociateRoleToGroupRequest.RoleArn',
  'AssociateServiceRoleToAccountRequest.RoleArn',
  'ResourceDownloadOwnerSetting.GroupOwner',
  'ResourceDownloadOwnerSetting.GroupPermission',
]);

const schemas = new Map<string, z.ZodType>();

/** The schema of a shape, such as `CoreDefinitionVersion`. `T` is the client's type for it. */
export function shape<T>(shapeName: string): z.ZodType<Checked<T>> {
  return schemaOf(shapeName) as z.ZodType<Checked<T>>;
}

/** The schema of an operation's body, such as `CreateGroup`'s. `T` is the client's request type. */
export function body<T>(operation: string): z.ZodType<Checked<Omit<T, 'AmznClientToken'>>> {
  const input = GREENGRASS_API.operations[operation]?.input;
  if (input === undefined) throw new Error(`the model has no operation ${operation} with an input`);
  return schemaOf(input) as z.ZodType<Checked<Omit<T, 'AmznClientToken'>>>;
}

function schemaOf(shapeName: string): z.ZodType {
  const known = schemas.get(shapeName);
  if (known) return known;
  const model = GREENGRASS_API.shapes[shapeName];
  if (!model) throw new Error(`the model has no shape ${shapeName}`);
  const made = build(shapeName, model);
  schemas.set(shapeName, made);
  return made;
}

function build(shapeName: string, model: ShapeModel): z.ZodType {
  switch (model.type) {
    case 'structure':
      return structure(shapeName, model);
    case 'list':
      return z.array(lazy(model.member)).max(MAX_ITEMS);
    case 'map':
      return shapeName === 'Tags' ? tags : z.record(z.string().max(MAX_TEXT), lazy(model.value));
    case 'boolean':
      return z.boolean();
    case 'integer':
      return z.number().int().min(0).max(INTEGER_MAX);
    case 'string':
      return model.enum ? z.enum(model.enum as [string, ...string[]]) : anyText;
    default:
      throw new Error(`shape ${shapeName}: no request of the API has a ${model.type}`);
  }
}

function structure(shapeName: string, { members = {}, required = [] }: ShapeModel): z.ZodType {
  const fields: Record<string, z.ZodType> = {};
  for (const [member, { shape: target, location }] of Object.entries(members)) {
    if (location !== undefined) continue;
    const path = `${shapeName}.${member}`;
    const schema = RULES[path] ?? byName(path, member, target) ?? lazy(target);
    const isRequired = required.includes(member) && !CHECKED_LATER.has(path);
    fields[member] = isRequired ? schema : z.preprocess(nullIsAbsent, schema.optional()).optional();
  }
  for (const [member, schema] of Object.entries(EXTENSIONS[shapeName] ?? {})) {
    fields[member] = z.preprocess(nullIsAbsent, schema).optional();
  }
  return z.object(fields);
}

function byName(path: string, member: string, target: string): z.ZodType | undefined {
  if (member === 'Name') return path.startsWith('Update') ? newName : name;
  if (/Arn$|^ARN$/.test(member) || (target === '__string' && /^(Source|Target)$/.test(member))) return arn;
  return undefined;
}

function lazy(target: string | undefined): z.ZodType {
  if (target === undefined) throw new Error('a list or map of the model has no member');
  return z.lazy(() => schemaOf(target));
}

function nullIsAbsent(value: unknown): unknown {
  return value === null ? undefined : value;
}
