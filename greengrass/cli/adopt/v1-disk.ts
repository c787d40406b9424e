/** What a V1 core left on its disk: configuration, group document, code of functions, the core's certificate. Reads only. */
import { createHash, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { checkJson, z } from '../../lib/check.js';
import { isSystemFunctionArn, parseFunctionArn } from '../../model/arn.js';
import { type CoreConfig, parseCoreConfig } from '../../model/core-config.js';
import { execution } from '../../model/function-config.js';
import {
  type GroupFunction,
  groupFunction,
  groupLogger,
  groupMember,
  groupSubscription,
} from '../../model/group.js';

const content = <S extends z.ZodType>(schema: S) =>
  z
    .looseObject({
      Content: z
        .array(schema)
        .nullish()
        .transform((list) => list ?? []),
    })
    .default({ Content: [] });

/** The group document, with resources of any type: what can't be adopted has to be told, not refused. */
const diskGroup = z.looseObject({
  Arn: z.string().optional(),
  Cores: z.array(groupMember).default([]),
  Devices: z.array(groupMember).default([]),
  GroupDefinitions: z.looseObject({
    Resources: content(
      z.looseObject({
        Id: z.string(),
        Name: z.string().optional(),
        Type: z.string(),
        Data: z.record(z.string(), z.unknown()),
      }),
    ),
    Lambdas: content(groupFunction),
    Subscriptions: content(groupSubscription),
    Logging: content(groupLogger),
    ShadowSync: content(z.looseObject({ thingArn: z.string() })),
    DefaultFunctionExecution: execution.optional(),
  }),
});
export type DiskGroup = z.output<typeof diskGroup>;

export interface DiskFunction {
  readonly arn: string;
  readonly name: string;
  readonly version: number;
  readonly settings: GroupFunction['DeploymentConfiguration'];
  /** Absent for the system's own functions. */
  readonly codeFolder?: string;
}

export interface V1Disk {
  readonly root: string;
  readonly configFile: string;
  /** Text of config.json, as it stands. */
  readonly configText: string;
  readonly config: CoreConfig;
  readonly group: DiskGroup;
  /** SHA-256 of the core's certificate, and the certificate. */
  readonly coreCertificate: { readonly id: string; readonly pem: string };
  readonly functions: readonly DiskFunction[];
  /** What is not taken over, in words. */
  readonly leftOut: readonly string[];
}

/** Throws with what is missing, where. */
export function readV1Disk(root: string): V1Disk {
  const configFile = join(root, 'config', 'config.json');
  const configText = read(configFile, 'it is the configuration of the core: is --root right?');
  const { config } = parseCoreConfig(configText, { root, file: configFile });
  const groupFile = join(config.writeDirectory, 'deployment', 'group', 'group.json');
  const group = checkJson(diskGroup, read(groupFile, 'was a group ever deployed to this core?'), groupFile);
  const pem = read(config.certificatePath, 'it is the certificate of the core');
  const id = createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
  const leftOut: string[] = [];
  const functions = group.GroupDefinitions.Lambdas.Content.flatMap((f) =>
    readFunction(f, config.writeDirectory, leftOut),
  );
  for (const { Id, Name, Type } of group.GroupDefinitions.Resources.Content) {
    if (!isLocal(Type))
      leftOut.push(`resource ${Name ?? Id} of type ${Type}: only local volumes and devices are adopted`);
  }
  return { root, configFile, configText, config, group, coreCertificate: { id, pem }, functions, leftOut };
}

export function isLocal(type: string): boolean {
  return type === 'LOCAL_VOLUME' || type === 'LOCAL_DEVICE';
}

function readFunction(
  { FunctionArn: arn, DeploymentConfiguration: settings }: GroupFunction,
  writeDirectory: string,
  leftOut: string[],
): DiskFunction[] {
  const parsed = parseFunctionArn(arn);
  const version = Number(parsed?.qualifier);
  if (isSystemFunctionArn(arn))
    return [{ arn, name: arn, version: Number.isInteger(version) ? version : 1, settings }];
  if (!parsed || !Number.isInteger(version) || version < 1) {
    leftOut.push(`function ${arn}: it has no version number`);
    return [];
  }
  const codeFolder = join(writeDirectory, 'deployment', 'lambda', arn);
  if (!existsSync(codeFolder) || !statSync(codeFolder).isDirectory()) {
    leftOut.push(`function ${arn}: its code is not at ${codeFolder}`);
    return [];
  }
  return [{ arn, name: parsed.name, version, settings, codeFolder }];
}

function read(file: string, hint: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`${file} can't be read (${(error as NodeJS.ErrnoException).code}): ${hint}`, {
      cause: error,
    });
  }
}
