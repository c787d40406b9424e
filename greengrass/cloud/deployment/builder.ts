/**
 * Group version → group document: resolves what the version refers to (definitions, things, certificates, functions and
 * their aliases), collects everything that is wrong, and checks the result as the core will.
 */
import { certificateIdOfArn, groupVersionArn } from '../../model/arn.js';
import { type GroupDocument, type GroupFunction, groupDocument } from '../../model/group.js';
import { checkGroup, type GroupProblem } from '../../model/group-checks.js';
import type { VersionSource } from '../store/found-versions.js';
import type { SecretSource } from '../store/secret-source.js';
import type { Store } from '../store/store.js';
import { BuildError } from './build-error.js';
import { FunctionBuilder } from './build-functions.js';
import { MemberBuilder, toMember } from './build-members.js';
import { ResourceBuilder } from './build-resources.js';
import { toSubscriptions } from './build-subscriptions.js';
import { DefinitionReader } from './definition-reader.js';
import type { ModelShelf } from './models.js';

export { BuildError } from './build-error.js';

/** V1's logging where the group has no loggers. */
const DEFAULT_LOGGERS = (['GreengrassSystem', 'Lambda'] as const).map((Component) => ({
  Type: 'FileSystem' as const,
  Component,
  Level: 'INFO' as const,
  Space: 128,
}));

export interface BuildInput {
  readonly groupId: string;
  readonly groupVersionId: string;
  readonly deploymentId: string;
  /** Where versions are read; the store itself where it is absent. */
  readonly versions?: VersionSource;
}

export interface BuilderOptions {
  readonly store: Store;
  readonly secrets: SecretSource;
  readonly models: ModelShelf;
  readonly region: string;
  readonly accountId: string;
}

/** Builds and checks. Throws BuildError. */
export class GroupBuilder {
  readonly #options: BuilderOptions;
  readonly #members: MemberBuilder;
  readonly #functions: FunctionBuilder;
  readonly #resources: ResourceBuilder;

  constructor(options: BuilderOptions) {
    this.#options = options;
    this.#members = new MemberBuilder(options.store);
    this.#functions = new FunctionBuilder(options);
    this.#resources = new ResourceBuilder(options);
  }

  async build(input: BuildInput): Promise<GroupDocument> {
    const problems: GroupProblem[] = [];
    const definitions = new DefinitionReader(input.versions ?? this.#options.store.containers);
    const { cores, devices, functions, subscriptions, resources, loggers, connectors } =
      await definitions.group(input.groupId, input.groupVersionId, problems);
    const coreList = cores?.Cores ?? [];
    const deviceList = devices?.Devices ?? [];
    for (const { ConnectorArn } of connectors?.Connectors ?? []) {
      problems.push({
        code: 'CONNECTOR_NOT_SUPPORTED_ERROR',
        message: `Connector ${ConnectorArn} is not available on this service`,
      });
    }
    // Of the authorities the newest comes first; none before the first certificate of a server was asked for.
    const [active, [authority]] = await Promise.all([
      this.#members.check([...coreList, ...deviceList], problems),
      this.#options.store.authorities.list(input.groupId),
    ]);
    const shadowSync = await this.#members.shadowSync([...coreList, ...deviceList], problems);
    const resolved = new Map<string, string>();
    const lambdas: GroupFunction[] = [];
    for (const entry of functions?.Functions ?? []) {
      const groupFunction = await this.#functions.build(entry, input, problems);
      if (!groupFunction) continue;
      resolved.set(entry.FunctionArn, groupFunction.FunctionArn);
      lambdas.push(groupFunction);
    }
    const subscribed = subscriptions?.Subscriptions ?? [];
    await this.#functions.resolveParties(subscribed, resolved);
    const groupResources: object[] = [];
    for (const resource of resources?.Resources ?? []) {
      groupResources.push(...(await this.#resources.build(resource, input, problems)));
    }
    const document = groupDocument.safeParse({
      $Schema: null,
      Arn: groupVersionArn(
        this.#options.region,
        this.#options.accountId,
        input.groupId,
        input.groupVersionId,
      ),
      Version: null,
      Region: this.#options.region,
      Cores: coreList.map(toMember),
      Devices: deviceList.map(toMember),
      ...(authority === undefined ? {} : { GroupCertificateAuthorityId: authority.authorityId }),
      GroupDefinitions: {
        Resources: { ref: null, Content: groupResources },
        Lambdas: { ref: null, Content: lambdas },
        Subscriptions: { ref: null, Content: toSubscriptions(subscribed, resolved) },
        Logging: { Content: loggers && loggers.Loggers.length > 0 ? loggers.Loggers : DEFAULT_LOGGERS },
        ShadowSync: { ref: null, Content: shadowSync },
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
}
