/** What a V1 core left on its disk: configuration, group document, code of functions, the core's certificate. Reads only. */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { checkJson, z } from '../../lib/check.js';
import {
  certificateIdOfArn,
  isConnectorArn,
  isSystemFunctionArn,
  isThingArn,
  parseFunctionArn,
  parseThingArn,
} from '../../model/arn.js';
import { type CoreConfig, parseCoreConfig } from '../../model/core-config.js';
import { execution } from '../../model/function-config.js';
import {
  type GroupFunction,
  groupFunction,
  groupLogger,
  groupMember,
  groupSubscription,
} from '../../model/group.js';
import { packFolder } from '../pack-lambda.js';

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

/** What is taken over, or made anew by the cloud. */
const KNOWN = new Set([
  'Resources',
  'Lambdas',
  'Subscriptions',
  'Logging',
  'ShadowSync',
  'ClientCertFingerprints',
]);

export interface DiskFunction {
  readonly arn: string;
  readonly name: string;
  readonly version: number;
  readonly settings: GroupFunction['DeploymentConfiguration'];
  /** Its code, as a zip. Absent for the system's own functions. */
  readonly zip?: Buffer;
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
  /** What is taken over as it is, but the operator should know. */
  readonly warnings: readonly string[];
}

/** Rejects with what is missing, where. */
export async function readV1Disk(root: string): Promise<V1Disk> {
  const configFile = join(root, 'config', 'config.json');
  const configText = read(configFile, 'it is the configuration of the core: is --root right?');
  const { config } = parseCoreConfig(configText, { root, file: configFile });
  const groupFile = join(config.writeDirectory, 'deployment', 'group', 'group.json');
  const found = checkJson(diskGroup, read(groupFile, 'was a group ever deployed to this core?'), groupFile);
  const warnings: string[] = [];
  const coreCertificate = readCertificate(config, warnings);
  checkMembers(found, config, groupFile);
  const leftOut: string[] = [];
  const functions: DiskFunction[] = [];
  for (const f of found.GroupDefinitions.Lambdas.Content) {
    const one = await readFunction(f, config);
    if (typeof one === 'string') leftOut.push(`function ${f.FunctionArn}: ${one}`);
    else functions.push(one);
  }
  for (const { Id, Name, Type } of found.GroupDefinitions.Resources.Content) {
    if (!isLocal(Type))
      leftOut.push(`resource ${Name ?? Id} of type ${Type}: only local volumes and devices are adopted`);
  }
  for (const [name, definition] of Object.entries(found.GroupDefinitions)) {
    const entries = (definition as { Content?: unknown } | undefined)?.Content;
    if (!KNOWN.has(name) && Array.isArray(entries) && entries.length > 0)
      leftOut.push(`GroupDefinitions.${name} (${entries.length}): gg adopt does not know it`);
  }
  const group = withoutLooseSubscriptions(found, functions, config.thingArn, leftOut);
  return { root, configFile, configText, config, group, coreCertificate, functions, leftOut, warnings };
}

/** Its SHA-256, under which the cloud will know the core. */
function readCertificate(config: CoreConfig, warnings: string[]): V1Disk['coreCertificate'] {
  const { certificatePath, privateKeyPath } = config;
  const pem = read(certificatePath, 'it is the certificate of the core');
  const key = read(privateKeyPath, 'it is the private key of the core');
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (error) {
    throw new Error(`${certificatePath} is no certificate in PEM: ${(error as Error).message}`, {
      cause: error,
    });
  }
  let isItsKey = false;
  try {
    isItsKey = certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    // Not readable is not its key either.
  }
  if (!isItsKey) {
    throw new Error(
      `${privateKeyPath} must hold the private key of ${certificatePath}, in PEM: look which files config.json names`,
    );
  }
  if (Date.parse(certificate.validTo) < Date.now()) {
    warnings.push(
      `${certificatePath} expired on ${certificate.validTo}. The cloud goes by its fingerprint and lets the core in; give it a new one when you can`,
    );
  }
  return { id: createHash('sha256').update(certificate.raw).digest('hex'), pem };
}

/** The document has to be this core's, and name each certificate by its fingerprint, in the core's region and account. */
function checkMembers(group: DiskGroup, config: CoreConfig, file: string): void {
  const cores = group.Cores.map(({ thingArn }) => thingArn);
  if (cores.length !== 1 || cores[0] !== config.thingArn) {
    throw new Error(
      `${file}: Cores must hold ${config.thingArn}, which is coreThing.thingArn of config.json, and nothing else, but holds ${cores.join(', ') || 'nothing'}: is it the group of another core?`,
    );
  }
  for (const [index, { thingArn, certArn }] of group.Devices.entries()) {
    const place = `${file}: Devices[${index}]`;
    const thing = parseThingArn(thingArn);
    if (thing?.region !== config.region || thing.accountId !== config.accountId) {
      throw new Error(
        `${place}.thingArn must be that of a thing in region ${config.region}, account ${config.accountId}, as the core is, but is "${thingArn}"`,
      );
    }
    if (!/^[0-9a-f]{64}$/.test(certificateIdOfArn(certArn) ?? '')) {
      throw new Error(
        `${place}.certArn must end with the certificate's fingerprint, cert/<64 hex digits>, but is "${certArn}"`,
      );
    }
  }
}

/** A subscription from or to what is not taken over would make the whole group undeployable. */
function withoutLooseSubscriptions(
  group: DiskGroup,
  functions: readonly DiskFunction[],
  core: string,
  leftOut: string[],
): DiskGroup {
  const things = new Set([core, ...group.Devices.map(({ thingArn }) => thingArn)]);
  const arns = new Set(functions.map(({ arn }) => arn));
  const isLoose = (end: string) =>
    isConnectorArn(end) ||
    (isThingArn(end) && !things.has(end)) ||
    (parseFunctionArn(end) !== undefined && !isSystemFunctionArn(end) && !arns.has(end));
  const { GroupDefinitions } = group;
  const { Subscriptions } = GroupDefinitions;
  const kept = Subscriptions.Content.filter(({ Source, Subject, Target }) => {
    const loose = [Source, Target].find(isLoose);
    if (loose !== undefined)
      leftOut.push(`subscription ${Source} → ${Subject} → ${Target}: ${loose} is not in the group`);
    return loose === undefined;
  });
  return {
    ...group,
    GroupDefinitions: { ...GroupDefinitions, Subscriptions: { ...Subscriptions, Content: kept } },
  };
}

export function isLocal(type: string): boolean {
  return type === 'LOCAL_VOLUME' || type === 'LOCAL_DEVICE';
}

/** Or why it can't be taken over. */
async function readFunction(
  { FunctionArn: arn, DeploymentConfiguration: settings }: GroupFunction,
  { region, accountId, writeDirectory }: CoreConfig,
): Promise<DiskFunction | string> {
  const parsed = parseFunctionArn(arn);
  const version = Number(parsed?.qualifier);
  if (isSystemFunctionArn(arn))
    return { arn, name: arn, version: Number.isInteger(version) ? version : 1, settings };
  if (!parsed || !Number.isInteger(version) || version < 1) return 'it has no version number';
  if (parsed.accountId === 'aws') return 'it is a connector';
  if (parsed.region !== region || parsed.accountId !== accountId)
    return `it is not of region ${region}, account ${accountId}, as the core is`;
  const codeFolder = join(writeDirectory, 'deployment', 'lambda', arn);
  if (!existsSync(codeFolder) || !statSync(codeFolder).isDirectory())
    return `its code is not at ${codeFolder}`;
  return { arn, name: parsed.name, version, settings, zip: await packFolder(codeFolder) };
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
