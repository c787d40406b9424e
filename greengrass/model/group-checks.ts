/**
 * The checks that a group document must pass before a core runs it: a list of small named functions, each of which
 * returns all the problems it sees. The cloud runs them when it builds a deployment, the core when it receives one.
 * Texts are V1's where V1's guide quotes them.
 */
import { certificateIdOfArn, isSystemFunctionArn, parseFunctionArn, thingNameOf } from './arn.js';
import type { IsolationMode } from './function-config.js';
import {
  type GroupDocument,
  type GroupFunction,
  isModelResource,
  type LocalResource,
  secretResources,
} from './group.js';
import { checkModels } from './ml-model-checks.js';
import { loopProblem, partyKind, subjectProblem } from './subscription.js';

export interface GroupProblem {
  /** Stable code for ErrorDetails. */
  readonly code: string;
  readonly message: string;
}

type GroupCheck = (group: GroupDocument) => GroupProblem[];

/** Isolation of a function: its own setting, else the group's, else GreengrassContainer. */
export function isolationOf(group: GroupDocument, groupFunction: GroupFunction): IsolationMode {
  return (
    groupFunction.DeploymentConfiguration.Environment?.Execution?.IsolationMode ??
    group.GroupDefinitions.DefaultFunctionExecution?.IsolationMode ??
    'GreengrassContainer'
  );
}

/** Run-as of a function: its own Uid and Gid, else the group's; a part that nobody set stays undefined. */
export function runAsOf(group: GroupDocument, groupFunction: GroupFunction): { Uid?: number; Gid?: number } {
  const own = groupFunction.DeploymentConfiguration.Environment?.Execution?.RunAs;
  const common = group.GroupDefinitions.DefaultFunctionExecution?.RunAs;
  const Uid = own?.Uid ?? common?.Uid;
  const Gid = own?.Gid ?? common?.Gid;
  return { ...(Uid === undefined ? {} : { Uid }), ...(Gid === undefined ? {} : { Gid }) };
}

/** The functions that users brought: all but the system's. */
export function userFunctions(group: GroupDocument): GroupFunction[] {
  return group.GroupDefinitions.Lambdas.Content.filter((f) => !isSystemFunctionArn(f.FunctionArn));
}

function problem(code: string, message: string): GroupProblem {
  return { code, message };
}

const hasOneCore: GroupCheck = (group) =>
  group.Cores.length === 1
    ? []
    : [problem('GG-303', 'You need a Greengrass Core in this Group before you can deploy.')];

const membersAreThings: GroupCheck = (group) =>
  [...group.Cores, ...group.Devices].flatMap(({ thingArn, certArn }) => [
    ...(thingNameOf(thingArn) === undefined
      ? [problem('THING_NOT_FOUND_ERROR', `"${thingArn}" is not the ARN of a thing`)]
      : []),
    ...(certificateIdOfArn(certArn) === undefined
      ? [
          problem(
            'THING_CERT_NOT_FOUND_ERROR',
            `"${certArn}" is not the ARN of a certificate (thing ${thingArn})`,
          ),
        ]
      : []),
  ]);

const functionArnsAreQualifiedAndUnique: GroupCheck = (group) => {
  const seen = new Set<string>();
  return group.GroupDefinitions.Lambdas.Content.flatMap(({ FunctionArn }) => {
    const found: GroupProblem[] = [];
    const arn = parseFunctionArn(FunctionArn);
    if (!arn) found.push(problem('FUNCTION_ARN_ERROR', `"${FunctionArn}" is not the ARN of a function`));
    else if (!isSystemFunctionArn(FunctionArn) && !/^\d+$/.test(arn.qualifier ?? '')) {
      found.push(
        problem('FUNCTION_ARN_ERROR', `Function ${FunctionArn} must be named with a version number`),
      );
    }
    if (seen.has(FunctionArn)) {
      found.push(problem('FUNCTION_ARN_ERROR', `Function ${FunctionArn} is in the group twice`));
    }
    seen.add(FunctionArn);
    return found;
  });
};

const containerSettingsFitIsolation: GroupCheck = (group) =>
  userFunctions(group).flatMap((groupFunction) => {
    const { FunctionArn: arn, DeploymentConfiguration: settings } = groupFunction;
    const memory = settings.MemorySize ?? 0;
    if (isolationOf(group, groupFunction) === 'GreengrassContainer') {
      return memory > 0
        ? []
        : [
            problem(
              'FUNCTION_CONFIGURATION_ERROR',
              `MemorySize configuration for function with arn ${arn} is required in IsolationMode=GreengrassContainer.`,
            ),
          ];
    }
    const found: GroupProblem[] = [];
    if (memory > 0) {
      found.push(
        problem(
          'FUNCTION_CONFIGURATION_ERROR',
          `MemorySize configuration for function with arn ${arn} is not allowed in IsolationMode=NoContainer.`,
        ),
      );
    }
    if (settings.Environment?.AccessSysfs) {
      found.push(
        problem(
          'FUNCTION_CONFIGURATION_ERROR',
          `Access Sysfs configuration for function with arn ${arn} is not allowed in IsolationMode=NoContainer.`,
        ),
      );
    }
    return found;
  });

const RESOURCE_TYPES: Record<LocalResource['Type'], string> = {
  LOCAL_DEVICE: 'Local.Device',
  LOCAL_VOLUME: 'Local.Volume',
};

const resourcesExistAndFitIsolation: GroupCheck = (group) => {
  const resources = new Map(group.GroupDefinitions.Resources.Content.map((r) => [r.Id, r]));
  return userFunctions(group).flatMap((groupFunction) => {
    const policies = groupFunction.DeploymentConfiguration.Environment?.ResourceAccessPolicies ?? [];
    return policies.flatMap(({ ResourceId }) => {
      const resource = resources.get(ResourceId);
      if (!resource) {
        return [
          problem(
            'RESOURCE_NOT_FOUND_ERROR',
            `Function ${groupFunction.FunctionArn} refers to resource ${ResourceId}, which is not in the group`,
          ),
        ];
      }
      // Secrets need no container; models have rules of their own.
      if (resource.Type === 'SECRETS_MANAGER_SECRET' || isModelResource(resource)) return [];
      if (isolationOf(group, groupFunction) === 'GreengrassContainer') return [];
      return [
        problem(
          'RESOURCE_TYPE_UNEXPECTED_ERROR',
          `Function ${groupFunction.FunctionArn} refers to resource of type ${RESOURCE_TYPES[resource.Type]} that is not allowed in IsolationMode=NoContainer.`,
        ),
      ];
    });
  });
};

const resourcePathsAreLegal: GroupCheck = (group) =>
  group.GroupDefinitions.Resources.Content.flatMap((resource) => {
    if (resource.Type === 'SECRETS_MANAGER_SECRET' || isModelResource(resource)) return [];
    const source = resource.Data.SourcePath;
    if (resource.Type === 'LOCAL_DEVICE') {
      return source.startsWith('/dev/') && !source.includes('..')
        ? []
        : [problem('RESOURCE_PATH_ERROR', `Device resource path should begin with /dev, but got: ${source}`)];
    }
    if (/^\/sys(\/|$)/.test(source)) return [problem('RESOURCE_PATH_ERROR', 'Accessing /sys is prohibited')];
    return [source, resource.Data.DestinationPath]
      .filter((path) => !path.startsWith('/') || path.split('/').includes('..'))
      .map((path) =>
        problem(
          'RESOURCE_PATH_ERROR',
          `Resource ${resource.Id}: "${path}" must be an absolute path without ".."`,
        ),
      );
  });

const secretsAreReferredToOnce: GroupCheck = (group) => {
  const arns = secretResources(group).map(({ Data }) => Data.ARN);
  return [...new Set(arns.filter((arn, index) => arns.indexOf(arn) !== index))].map((arn) =>
    problem(
      'RESOURCE_DUPLICATE_ERROR',
      `Secret ${arn} is referred to by more than one resource of the group`,
    ),
  );
};

const modelsAreLegal: GroupCheck = (group) => checkModels(group, (f) => isolationOf(group, f));

const subscriptionsAreLegal: GroupCheck = (group) => {
  const members = new Set<string>([
    ...group.Devices.map((device) => device.thingArn),
    ...group.GroupDefinitions.Lambdas.Content.map((f) => f.FunctionArn),
  ]);
  return group.GroupDefinitions.Subscriptions.Content.flatMap((subscription) => {
    const { Id: id = '(no id)', Source, Subject, Target } = subscription;
    const found: GroupProblem[] = [];
    const subject = subjectProblem(Subject);
    if (subject) {
      found.push(
        problem(
          'SUBSCRIPTION_ERROR',
          `Subscription subject is invalid. ID is '${id}': "${Subject}": ${subject}`,
        ),
      );
    }
    const loop = loopProblem(Source, Target);
    if (loop) found.push(problem('SUBSCRIPTION_ERROR', `Subscription is a loop. ID is '${id}': ${loop}`));
    for (const [end, party] of [
      ['source', Source],
      ['target', Target],
    ] as const) {
      const kind = partyKind(party);
      if (!kind) {
        const name = end === 'source' ? 'Source' : 'Target';
        found.push(
          problem(
            'SUBSCRIPTION_ERROR',
            `Subscription ${end} is invalid. ID is '${id}' and ${name} is '${party}'`,
          ),
        );
      } else if (
        (kind === 'device' || kind === 'function') &&
        !members.has(party) &&
        !isSystemFunctionArn(party)
      ) {
        found.push(
          problem(
            'SUBSCRIPTION_ERROR',
            `Subscription ${end} is not a member of the group. ID is '${id}': ${party}`,
          ),
        );
      }
    }
    return found;
  });
};

const CHECKS: readonly GroupCheck[] = [
  hasOneCore,
  membersAreThings,
  functionArnsAreQualifiedAndUnique,
  containerSettingsFitIsolation,
  resourcesExistAndFitIsolation,
  resourcePathsAreLegal,
  secretsAreReferredToOnce,
  modelsAreLegal,
  subscriptionsAreLegal,
];

/** All the problems of a group; an empty list means that it may be deployed. */
export function checkGroup(group: GroupDocument): GroupProblem[] {
  return CHECKS.flatMap((groupCheck) => groupCheck(group));
}
