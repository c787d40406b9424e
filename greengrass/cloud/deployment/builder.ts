/**
 * Group version → group document: resolves what the version refers to (definitions, things, certificates, functions and
 * their aliases), collects everything that is wrong, and checks the result as the core will.
 */
import { z } from '../../lib/check.js';
import {
  certificateIdOfArn,
  groupVersionArn,
  isSystemFunctionArn,
  parseFunctionArn,
  thingNameOf,
} from '../../model/arn.js';
import { execution, functionEnvironment } from '../../model/function-config.js';
import { type GroupDocument, type GroupFunction, groupDocument } from '../../model/group.js';
import { checkGroup, type GroupProblem } from '../../model/group-checks.js';
import { type ShadowSyncMember, shadowSyncMemberOf } from '../../model/shadow-sync.js';
import type { SecretSource, SecretValue } from '../store/secret-source.js';
import type { DefinitionKind, LambdaVersion, Store } from '../store/store.js';

/** A group that can't be deployed, with all the reasons. */
export class BuildError extends Error {
  override readonly name = 'BuildError';
  constructor(readonly problems: readonly GroupProblem[]) {
    const models = problems.map(({ code, message }) => `ErrorModel(errorCode=${code}, errorMsg=${message})`);
    super(
      `We cannot deploy because the group definition is invalid or corrupted for the following reasons: {ErrorSet(errorSet=[${models.join(', ')}])}`,
    );
  }
}

/** V1's logging where the group has no loggers. */
const DEFAULT_LOGGERS = (['GreengrassSystem', 'Lambda'] as const).map((Component) => ({
  Type: 'FileSystem' as const,
  Component,
  Level: 'INFO' as const,
  Space: 128,
}));

const member = z.object({
  Id: z.string(),
  ThingArn: z.string(),
  CertificateArn: z.string(),
  SyncShadow: z.boolean().optional(),
});
const functionEntry = z.object({
  Id: z.string(),
  FunctionArn: z.string(),
  FunctionConfiguration: z
    .object({
      MemorySize: z.number().int().optional(),
      Timeout: z.number().int().optional(),
      Pinned: z.boolean().optional(),
      Executable: z.string().optional(),
      ExecArgs: z.string().optional(),
      EncodingType: z.enum(['json', 'binary']).optional(),
      FunctionRuntimeOverride: z.string().optional(),
      Environment: functionEnvironment.optional(),
    })
    .optional(),
});
type FunctionEntry = z.output<typeof functionEntry>;

const CONTENT = {
  groups: z.object(
    Object.fromEntries(
      ['Connector', 'Core', 'Device', 'Function', 'Logger', 'Resource', 'Subscription'].map((kind) => [
        `${kind}DefinitionVersionArn`,
        z.string().optional(),
      ]),
    ),
  ),
  cores: z.object({ Cores: z.array(member).default([]) }),
  devices: z.object({ Devices: z.array(member).default([]) }),
  functions: z.object({
    Functions: z.array(functionEntry).default([]),
    DefaultConfig: z.object({ Execution: execution.optional() }).optional(),
  }),
  subscriptions: z.object({
    Subscriptions: z
      .array(z.object({ Id: z.string(), Source: z.string(), Subject: z.string(), Target: z.string() }))
      .default([]),
  }),
  resources: z.object({
    Resources: z
      .array(
        z.object({
          Id: z.string(),
          Name: z.string(),
          ResourceDataContainer: z.record(z.string(), z.record(z.string(), z.unknown())),
        }),
      )
      .default([]),
  }),
  loggers: z.object({
    Loggers: z
      .array(
        z.object({
          Component: z.enum(['GreengrassSystem', 'Lambda']),
          Level: z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL']),
          Type: z.enum(['FileSystem', 'AWSCloudWatch']),
          Space: z.number().int().min(1).optional(),
        }),
      )
      .default([]),
  }),
  connectors: z.object({
    Connectors: z.array(z.object({ Id: z.string(), ConnectorArn: z.string() })).default([]),
  }),
} as const;

interface ResourceEntry {
  readonly Id: string;
  readonly Name: string;
  readonly ResourceDataContainer: Record<string, Record<string, unknown>>;
}

const secretData = z.object({
  ARN: z.string().optional(),
  AdditionalStagingLabelsToDownload: z.array(z.string()).optional(),
});

const RESOURCE_TYPES: Readonly<Record<string, 'LOCAL_VOLUME' | 'LOCAL_DEVICE'>> = {
  LocalVolumeResourceData: 'LOCAL_VOLUME',
  LocalDeviceResourceData: 'LOCAL_DEVICE',
};

export interface BuildInput {
  readonly groupId: string;
  readonly groupVersionId: string;
  readonly deploymentId: string;
}

/** Builds and checks. Throws BuildError. */
export class GroupBuilder {
  constructor(
    private readonly options: {
      readonly store: Store;
      readonly secrets: SecretSource;
      readonly region: string;
      readonly accountId: string;
    },
  ) {}

  async build(input: BuildInput): Promise<GroupDocument> {
    const problems: GroupProblem[] = [];
    const refs = await this.#content('groups', input.groupId, input.groupVersionId, problems);
    const [cores, devices, functions, subscriptions, resources, loggers, connectors] = await Promise.all([
      this.#referred('cores', refs?.CoreDefinitionVersionArn, problems),
      this.#referred('devices', refs?.DeviceDefinitionVersionArn, problems),
      this.#referred('functions', refs?.FunctionDefinitionVersionArn, problems),
      this.#referred('subscriptions', refs?.SubscriptionDefinitionVersionArn, problems),
      this.#referred('resources', refs?.ResourceDefinitionVersionArn, problems),
      this.#referred('loggers', refs?.LoggerDefinitionVersionArn, problems),
      this.#referred('connectors', refs?.ConnectorDefinitionVersionArn, problems),
    ]);
    const coreList = cores?.Cores ?? [];
    const deviceList = devices?.Devices ?? [];
    for (const { ConnectorArn } of connectors?.Connectors ?? []) {
      problems.push({
        code: 'CONNECTOR_NOT_SUPPORTED_ERROR',
        message: `Connector ${ConnectorArn} is not available on this service`,
      });
    }
    const active = await this.#checkMembers([...coreList, ...deviceList], problems);
    // Newest first; none before the first certificate of a server was asked for.
    const [authority] = await this.options.store.authorities.list(input.groupId);
    const shadowSync = await this.#shadowSync([...coreList, ...deviceList], problems);
    const resolved = new Map<string, string>();
    const lambdas: GroupFunction[] = [];
    for (const entry of functions?.Functions ?? []) {
      const groupFunction = await this.#function(entry, input, problems);
      if (!groupFunction) continue;
      resolved.set(entry.FunctionArn, groupFunction.FunctionArn);
      lambdas.push(groupFunction);
    }
    const subscribed = subscriptions?.Subscriptions ?? [];
    await this.#resolveParties(subscribed, resolved);
    const party = (name: string) => resolved.get(name) ?? name;
    const groupResources: object[] = [];
    for (const resource of resources?.Resources ?? []) {
      groupResources.push(...(await this.#resource(resource, problems)));
    }
    const document = groupDocument.safeParse({
      $Schema: null,
      Arn: groupVersionArn(this.options.region, this.options.accountId, input.groupId, input.groupVersionId),
      Version: null,
      Region: this.options.region,
      Cores: coreList.map(toMember),
      Devices: deviceList.map(toMember),
      ...(authority === undefined ? {} : { GroupCertificateAuthorityId: authority.authorityId }),
      GroupDefinitions: {
        Resources: {
          ref: null,
          Content: groupResources,
        },
        Lambdas: { ref: null, Content: lambdas },
        Subscriptions: {
          ref: null,
          Content: subscribed.map(({ Id, Source, Subject, Target }) => ({
            Id,
            Source: party(Source),
            Subject,
            Target: party(Target),
          })),
        },
        Logging: { Content: loggers && loggers.Loggers.length > 0 ? loggers.Loggers : DEFAULT_LOGGERS },
        ShadowSync: {
          ref: null,
          Content: shadowSync,
        },
        ClientCertFingerprints: {
          Content: deviceList
            .filter(({ CertificateArn }) => active.has(CertificateArn))
            .flatMap(({ CertificateArn }) => certificateIdOfArn(CertificateArn) ?? []),
        },
        ...(functions?.DefaultConfig?.Execution
          ? { DefaultFunctionExecution: functions.DefaultConfig.Execution }
          : {}),
      },
    });
    if (!document.success) {
      for (const issue of document.error.issues) {
        problems.push({
          code: 'GROUP_DEFINITION_ERROR',
          message: `${issue.path.map(String).join('.')}: ${issue.message}`,
        });
      }
      throw new BuildError(problems);
    }
    problems.push(...checkGroup(document.data));
    if (problems.length > 0) throw new BuildError(problems);
    return document.data;
  }

  async #resource(resource: ResourceEntry, problems: GroupProblem[]): Promise<object[]> {
    const data = resource.ResourceDataContainer.SecretsManagerSecretResourceData;
    if (!data || Object.keys(resource.ResourceDataContainer).length > 1)
      return toResource(resource, problems);
    const { ARN = '', AdditionalStagingLabelsToDownload: labels = [] } = secretData.parse(data);
    const versions = new Map<string, SecretValue>();
    for (const label of new Set(['AWSCURRENT', ...labels])) {
      const value = await this.options.secrets.value(ARN, label);
      if (value) versions.set(value.versionId, value);
      else {
        problems.push({
          code: 'SECRET_NOT_FOUND_ERROR',
          message: `Secret ${ARN} of resource ${resource.Id} cannot be found, or has no version with the staging label ${label}`,
        });
      }
    }
    const [first] = versions.values();
    if (!first) return [];
    return [
      {
        Id: resource.Id,
        Name: resource.Name,
        Type: 'SECRETS_MANAGER_SECRET',
        Data: {
          type: 'SecretsManagerSecretResourceData',
          ARN: first.arn,
          ...(labels.length > 0 ? { AdditionalStagingLabelsToDownload: labels } : {}),
          Name: first.name,
          Versions: [...versions.values()].map(({ versionId, stages }) => ({
            VersionId: versionId,
            Stages: stages,
          })),
        },
      },
    ];
  }

  async #content<K extends keyof typeof CONTENT>(
    kind: K,
    id: string,
    version: string,
    problems: GroupProblem[],
  ): Promise<z.output<(typeof CONTENT)[K]> | undefined> {
    const found = await this.options.store.containers.findVersion(kind, id, version);
    if (!found) {
      problems.push({
        code: 'DEFINITION_NOT_FOUND_ERROR',
        message: `Version ${version} of ${kind} definition ${id} does not exist`,
      });
      return undefined;
    }
    const result = CONTENT[kind].safeParse(JSON.parse(found.content));
    if (result.success) return result.data as z.output<(typeof CONTENT)[K]>;
    const reasons = result.error.issues.map(
      (issue) => `${issue.path.map(String).join('.')}: ${issue.message}`,
    );
    problems.push({
      code: 'GROUP_DEFINITION_ERROR',
      message: `${kind} definition ${id}: ${reasons.join('; ')}`,
    });
    return undefined;
  }

  async #referred<K extends DefinitionKind>(kind: K, arn: string | undefined, problems: GroupProblem[]) {
    if (arn === undefined) return undefined;
    const match = /:\/greengrass\/definition\/([a-z]+)\/([^/]+)\/versions\/([^/]+)$/.exec(arn);
    if (!match || match[1] !== kind) {
      problems.push({
        code: 'DEFINITION_NOT_FOUND_ERROR',
        message: `"${arn}" is not the version of a ${kind} definition`,
      });
      return undefined;
    }
    return this.#content(kind, match[2] as string, match[3] as string, problems);
  }

  /** How the shadows of each thing are synced: SyncShadow, and attributes of the thing for what V1's API has no member for. */
  async #shadowSync(
    members: ReadonlyArray<z.output<typeof member>>,
    problems: GroupProblem[],
  ): Promise<ShadowSyncMember[]> {
    const synced: ShadowSyncMember[] = [];
    for (const { ThingArn } of members.filter(({ SyncShadow }) => SyncShadow)) {
      const thing = await this.options.store.things.find(thingNameOf(ThingArn) ?? '');
      const made = shadowSyncMemberOf(ThingArn, thing?.attributes ?? {});
      if ('problem' in made) problems.push({ code: 'GROUP_DEFINITION_ERROR', message: made.problem });
      else synced.push(made);
    }
    return synced;
  }

  /** Answers the ARNs of the certificates that are ACTIVE; devices with another one are not let in. */
  async #checkMembers(
    members: ReadonlyArray<z.output<typeof member>>,
    problems: GroupProblem[],
  ): Promise<Set<string>> {
    const { store } = this.options;
    const active = new Set<string>();
    for (const { ThingArn, CertificateArn } of members) {
      const thing = await store.things.find(thingNameOf(ThingArn) ?? '');
      if (thing?.thingArn !== ThingArn) {
        problems.push({ code: 'THING_NOT_FOUND_ERROR', message: `Thing ${ThingArn} does not exist` });
      }
      const certificate = await store.certificates.find(certificateIdOfArn(CertificateArn) ?? '');
      if (certificate?.certificateArn !== CertificateArn) {
        problems.push({
          code: 'THING_CERT_NOT_FOUND_ERROR',
          message: `Certificate ${CertificateArn} of thing ${ThingArn} does not exist`,
        });
      }
      if (certificate?.status === 'ACTIVE') active.add(CertificateArn);
    }
    return active;
  }

  async #function(
    entry: FunctionEntry,
    input: BuildInput,
    problems: GroupProblem[],
  ): Promise<GroupFunction | undefined> {
    const settings = entry.FunctionConfiguration ?? {};
    const { FunctionRuntimeOverride, ...rest } = settings;
    if (isSystemFunctionArn(entry.FunctionArn)) {
      const { Timeout, ...others } = rest;
      return {
        FunctionArn: entry.FunctionArn,
        DeploymentConfiguration: { ...others, ...(Timeout ? { Timeout } : {}) },
      };
    }
    const lambda = await this.#resolve(entry.FunctionArn);
    if (!lambda) {
      problems.push({
        code: 'FUNCTION_NOT_FOUND_ERROR',
        message: `Function ${entry.FunctionArn} does not exist, or its alias names $LATEST`,
      });
      return undefined;
    }
    const { region, accountId } = this.options;
    const { groupId, deploymentId } = input;
    return {
      FunctionArn: this.#functionArn(lambda),
      ArtifactArn: `arn:aws:greengrass:${region}:${accountId}:/greengrass/groups/${groupId}/deployments/${deploymentId}/artifacts/lambda/${lambda.codeSha256Hex}`,
      DeploymentConfiguration: {
        ...rest,
        Priority: 1,
        Pinned: rest.Pinned === true,
        CodeSha256: Buffer.from(lambda.codeSha256Hex, 'hex').toString('base64'),
        CodeSize: lambda.codeSizeBytes,
        Description: lambda.description,
        Handler: lambda.handler,
        Runtime: FunctionRuntimeOverride ?? lambda.runtime,
        Timeout: rest.Timeout ?? lambda.timeoutS,
      },
    };
  }

  /** A subscription may name by alias what the group names by version: what counts is the version, as it is now. */
  async #resolveParties(
    subscriptions: ReadonlyArray<{ Source: string; Target: string }>,
    resolved: Map<string, string>,
  ): Promise<void> {
    for (const name of new Set(subscriptions.flatMap(({ Source, Target }) => [Source, Target]))) {
      if (resolved.has(name) || isSystemFunctionArn(name)) continue;
      const lambda = await this.#resolve(name);
      if (lambda) resolved.set(name, this.#functionArn(lambda));
    }
  }

  #functionArn({ functionName, version }: LambdaVersion): string {
    const { region, accountId } = this.options;
    return `arn:aws:lambda:${region}:${accountId}:function:${functionName}:${version}`;
  }

  /** The version that the ARN names, an alias resolved now. `$LATEST` can't be deployed. */
  async #resolve(functionArn: string): Promise<LambdaVersion | undefined> {
    const arn = parseFunctionArn(functionArn);
    const { region, accountId, store } = this.options;
    if (!arn?.qualifier || arn.region !== region || arn.accountId !== accountId) return undefined;
    const version = /^\d+$/.test(arn.qualifier)
      ? arn.qualifier
      : (await store.lambdas.findAlias(arn.name, arn.qualifier))?.functionVersion;
    return version === undefined || !/^\d+$/.test(version)
      ? undefined
      : store.lambdas.find(arn.name, version);
  }
}

function toMember({ ThingArn, CertificateArn }: z.output<typeof member>) {
  return { thingArn: ThingArn, certArn: CertificateArn };
}

function toResource({ Id, Name, ResourceDataContainer }: ResourceEntry, problems: GroupProblem[]): object[] {
  const entries = Object.entries(ResourceDataContainer);
  const [kind, data] = entries[0] ?? [];
  const type = kind !== undefined && Object.hasOwn(RESOURCE_TYPES, kind) ? RESOURCE_TYPES[kind] : undefined;
  if (entries.length === 1 && type !== undefined)
    return [{ Id, Name, Type: type, Data: { type: kind, ...data } }];
  problems.push({
    code: 'RESOURCE_TYPE_UNEXPECTED_ERROR',
    message: `Resource ${Id} is of a kind that is not available on this service: ${entries.map(([name]) => name).join(', ') || 'none'}`,
  });
  return [];
}
