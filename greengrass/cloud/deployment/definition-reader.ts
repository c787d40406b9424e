/** The definition versions that a group version refers to, read from the store and checked. */
import { z } from '../../lib/check.js';
import { execution, functionEnvironment } from '../../model/function-config.js';
import type { GroupProblem } from '../../model/group-checks.js';
import { subscriptionExtension } from '../../model/subscription-extension-checks.js';
import type { VersionSource } from '../store/found-versions.js';
import type { DefinitionKind } from '../store/store.js';

/** A core or a device. */
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
export type MemberEntry = z.output<typeof member>;
export type FunctionEntry = z.output<typeof functionEntry>;

const subscriptionEntry = z.object({
  Id: z.string(),
  Source: z.string(),
  Subject: z.string(),
  Target: z.string(),
  ...subscriptionExtension,
});
export type SubscriptionEntry = z.output<typeof subscriptionEntry>;
const resourceEntry = z.object({
  Id: z.string(),
  Name: z.string(),
  ResourceDataContainer: z.record(z.string(), z.record(z.string(), z.unknown())),
});
export type ResourceEntry = z.output<typeof resourceEntry>;

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
    Subscriptions: z.array(subscriptionEntry).default([]),
  }),
  resources: z.object({
    Resources: z.array(resourceEntry).default([]),
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

/** What can't be read goes to `problems`, and the answer is undefined. */
export class DefinitionReader {
  constructor(private readonly versions: VersionSource) {}

  /** All that the group version refers to. */
  async group(groupId: string, groupVersionId: string, problems: GroupProblem[]) {
    const refs = await this.#version('groups', groupId, groupVersionId, problems);
    const [cores, devices, functions, subscriptions, resources, loggers, connectors] = await Promise.all([
      this.#referred('cores', refs?.CoreDefinitionVersionArn, problems),
      this.#referred('devices', refs?.DeviceDefinitionVersionArn, problems),
      this.#referred('functions', refs?.FunctionDefinitionVersionArn, problems),
      this.#referred('subscriptions', refs?.SubscriptionDefinitionVersionArn, problems),
      this.#referred('resources', refs?.ResourceDefinitionVersionArn, problems),
      this.#referred('loggers', refs?.LoggerDefinitionVersionArn, problems),
      this.#referred('connectors', refs?.ConnectorDefinitionVersionArn, problems),
    ]);
    return { cores, devices, functions, subscriptions, resources, loggers, connectors };
  }

  async #version<K extends keyof typeof CONTENT>(
    kind: K,
    id: string,
    version: string,
    problems: GroupProblem[],
  ): Promise<z.output<(typeof CONTENT)[K]> | undefined> {
    const found = await this.versions.findVersion(kind, id, version);
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
    return this.#version(kind, match[2] as string, match[3] as string, problems);
  }
}
