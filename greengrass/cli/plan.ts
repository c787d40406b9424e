/** `gg plan`: what deploying a group's latest version would change on its core. Asks only; changes nothing. */
import { isDeepStrictEqual } from 'node:util';
import type { Function as FunctionMember } from '@aws-sdk/client-greengrass';
import { EXTENSION_MEMBERS } from '../model/subscription-extension.js';
import type { Clients } from './clients.js';
import { deployedVersion } from './deployment.js';
import { findGroup, latestVersion } from './group.js';
import { type GroupContent, groupContent, NO_CONTENT } from './group-content.js';

/** What happens to one member of the group. */
export interface Change {
  /** `restarts`: the same function with other settings. `replaces`: another version of its code. */
  readonly effect: 'starts' | 'stops' | 'restarts' | 'replaces' | 'adds' | 'removes' | 'changes' | 'cuts';
  readonly what: 'function' | 'subscription' | 'device' | 'core' | 'resource' | 'logger' | 'connector';
  readonly name: string;
  /** Which settings differ, where it is known. */
  readonly why?: string;
}

export interface Plan {
  readonly groupId: string;
  /** Absent where nothing is deployed. */
  readonly deployedVersion?: string;
  readonly nextVersion: string;
  readonly changes: readonly Change[];
  /** What stays as it is, by kind. */
  readonly kept: Readonly<Record<'functions' | 'devices' | 'subscriptions', number>>;
  /** What can only be known when it is deployed. */
  readonly notes: readonly string[];
}

export async function planGroup(clients: Clients, group: string): Promise<Plan> {
  const groupId = await findGroup(clients, group);
  const [deployed, { id: nextVersion }] = await Promise.all([
    deployedVersion(clients, groupId),
    latestVersion(clients, groupId),
  ]);
  const [before, after] = await Promise.all([
    deployed === undefined ? NO_CONTENT : groupContent(clients, groupId, deployed),
    groupContent(clients, groupId, nextVersion),
  ]);
  return {
    groupId,
    ...(deployed === undefined ? {} : { deployedVersion: deployed }),
    nextVersion,
    ...compareGroups(before, after),
  };
}

/** Pure. */
export function compareGroups(
  before: GroupContent,
  after: GroupContent,
): Pick<Plan, 'changes' | 'kept' | 'notes'> {
  const functions = compareFunctions(before, after);
  const subscriptions = compareLists(
    before.subscriptions,
    after.subscriptions,
    ({ Source, Subject, Target }) => `${Source} ─ ${Subject} → ${Target}`,
    'subscription',
    EXTENSION_MEMBERS,
  );
  const devices = compareLists(before.devices, after.devices, ({ ThingArn = '' }) => ThingArn, 'device', [
    'CertificateArn',
  ]);
  const named = ({ Name, Id }: { Name?: string | undefined; Id?: string | undefined }) => Name ?? Id ?? '';
  const others = [
    ...compareLists(before.cores, after.cores, ({ ThingArn = '' }) => ThingArn, 'core', ['CertificateArn'])
      .changes,
    ...compareLists(before.resources, after.resources, named, 'resource', ['ResourceDataContainer']).changes,
    ...compareLists(
      before.connectors,
      after.connectors,
      ({ ConnectorArn = '' }) => ConnectorArn,
      'connector',
      ['Parameters'],
    ).changes,
    ...compareLists(
      before.loggers,
      after.loggers,
      ({ Component, Type, Level, Space }) => [Component, Type, Level, Space].filter(Boolean).join(' '),
      'logger',
    ).changes,
  ];
  return {
    changes: [
      ...functions.changes,
      ...subscriptions.changes,
      // A device that is not in the group any more loses its connection.
      ...devices.changes.map((change) =>
        change.effect === 'removes' || change.effect === 'changes'
          ? { ...change, effect: 'cuts' as const }
          : change,
      ),
      ...others,
    ],
    kept: { functions: functions.kept, devices: devices.kept, subscriptions: subscriptions.kept },
    notes: [
      ...after.functions
        .filter(({ FunctionArn = '' }) => !/:(\d+|\$LATEST)$/.test(FunctionArn))
        .map(
          ({ FunctionArn }) =>
            `${FunctionArn} is named by an alias: it is replaced as well where the alias points to another version by then`,
        ),
      ...after.resources.flatMap(({ Name, ResourceDataContainer: data }) => {
        if (data?.SecretsManagerSecretResourceData) {
          return [`resource ${Name} is a secret: functions get the values that it has by then`];
        }
        if (data?.S3MachineLearningModelResourceData ?? data?.SageMakerMachineLearningModelResourceData) {
          return [`resource ${Name} is a model: functions get the file that is there by then`];
        }
        return [];
      }),
    ],
  };
}

function compareFunctions(before: GroupContent, after: GroupContent): { changes: Change[]; kept: number } {
  const old = new Map(before.functions.map((f) => [f.FunctionArn ?? '', f]));
  const next = new Map(after.functions.map((f) => [f.FunctionArn ?? '', f]));
  const names = new Set([...next.keys()].map(withoutVersion));
  const changes: Change[] = [];
  let kept = 0;
  for (const [arn, f] of next) {
    const was = old.get(arn);
    const predecessor = [...old.keys()].find((other) => withoutVersion(other) === withoutVersion(arn));
    if (was) {
      const why = differences(was, f, before, after);
      if (why.length > 0)
        changes.push({ effect: 'restarts', what: 'function', name: arn, why: why.join(', ') });
      else kept += 1;
    } else if (predecessor !== undefined && !next.has(predecessor)) {
      changes.push({ effect: 'replaces', what: 'function', name: arn, why: `in place of ${predecessor}` });
    } else changes.push({ effect: 'starts', what: 'function', name: arn });
  }
  for (const arn of old.keys()) {
    if (!next.has(arn) && !names.has(withoutVersion(arn))) {
      changes.push({ effect: 'stops', what: 'function', name: arn });
    }
  }
  return { changes, kept };
}

/** Settings of a function that differ, those of the group that it uses included. */
function differences(
  was: FunctionMember,
  is: FunctionMember,
  before: GroupContent,
  after: GroupContent,
): string[] {
  const old = flat(was.FunctionConfiguration ?? {});
  const next = flat(is.FunctionConfiguration ?? {});
  const own = [...new Set([...old.keys(), ...next.keys()])].filter((key) => old.get(key) !== next.get(key));
  const used = (is.FunctionConfiguration?.Environment?.ResourceAccessPolicies ?? []).map(
    ({ ResourceId }) => ResourceId,
  );
  const resource = (content: GroupContent, id: string | undefined) =>
    content.resources.find(({ Id }) => Id === id)?.ResourceDataContainer;
  const resources = used.filter((id) => !isDeepStrictEqual(resource(before, id), resource(after, id)));
  const defaults = isDeepStrictEqual(before.defaults, after.defaults) ? [] : ['DefaultConfig of the group'];
  return [...own, ...resources.map((id) => `resource ${id}`), ...defaults];
}

/** `Environment.Variables.RATE` → its value as text. */
function flat(value: unknown, prefix = ''): Map<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return value === undefined ? new Map() : new Map([[prefix, JSON.stringify(value)]]);
  }
  return new Map(
    Object.entries(value).flatMap(([key, inner]) => [
      ...flat(inner, prefix === '' ? key : `${prefix}.${key}`),
    ]),
  );
}

function compareLists<T extends object>(
  before: readonly T[],
  after: readonly T[],
  nameOf: (item: T) => string,
  what: Change['what'],
  settings: ReadonlyArray<keyof T> = [],
): { changes: Change[]; kept: number } {
  const old = new Map(before.map((item) => [nameOf(item), item]));
  const next = new Map(after.map((item) => [nameOf(item), item]));
  const changes: Change[] = [];
  let kept = 0;
  for (const [name, item] of next) {
    const was = old.get(name);
    const differ = was ? settings.filter((key) => !isDeepStrictEqual(was[key], item[key])) : [];
    if (!was) changes.push({ effect: 'adds', what, name });
    else if (differ.length > 0) changes.push({ effect: 'changes', what, name, why: differ.join(', ') });
    else kept += 1;
  }
  for (const name of old.keys()) if (!next.has(name)) changes.push({ effect: 'removes', what, name });
  return { changes, kept };
}

function withoutVersion(arn: string): string {
  return arn.split(':').slice(0, 7).join(':');
}

/** For people. */
export function planText({ deployedVersion: from, nextVersion, changes, kept, notes }: Plan): string {
  const head =
    from === undefined
      ? `Nothing is deployed. Version ${nextVersion} would:`
      : from === nextVersion
        ? `Version ${nextVersion} is deployed already. Deploying it again would:`
        : `Version ${from} is deployed. Version ${nextVersion} would:`;
  const lines = changes.map(
    ({ effect, what, name, why }) =>
      `  ${effect.padEnd(8)} ${what} ${name}${why === undefined ? '' : ` (${why})`}`,
  );
  const { functions, devices, subscriptions } = kept;
  return [
    head,
    ...(lines.length > 0 ? lines : ['  change nothing']),
    `Not touched: ${functions} function(s), ${devices} device(s), ${subscriptions} subscription(s).`,
    ...notes.map((note) => `Note: ${note}.`),
  ].join('\n');
}
