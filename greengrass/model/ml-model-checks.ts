/** The checks on machine learning models that a group must pass, in V1's words where V1's guide quotes them. */
import { isSystemFunctionArn } from './arn.js';
import type { IsolationMode } from './function-config.js';
import { type GroupDocument, type GroupFunction, isModelResource, type ModelResource } from './group.js';
import type { GroupProblem } from './group-checks.js';
import { isNested, modelPermission } from './ml-model.js';

/** `isolationOf`: how a function of the group is isolated. */
export function checkModels(
  group: GroupDocument,
  isolationOf: (groupFunction: GroupFunction) => IsolationMode,
): GroupProblem[] {
  const models = group.GroupDefinitions.Resources.Content.filter(isModelResource);
  const functions = group.GroupDefinitions.Lambdas.Content.filter((f) => !isSystemFunctionArn(f.FunctionArn));
  return [
    ...models.flatMap(pathProblems),
    ...models.flatMap(ownerProblems),
    ...functions.flatMap((f) => accessProblems(f, models, isolationOf(f) === 'GreengrassContainer')),
  ];
}

function pathProblems({ Id, Data }: ModelResource): GroupProblem[] {
  const path = Data.DestinationPath;
  const isPlain = /^\/[^/]/.test(path) && !/[\0]|(^|\/)\.{1,2}(\/|$)/.test(path);
  if (isPlain) return [];
  return [
    {
      code: 'RESOURCE_PATH_ERROR',
      message: `Resource ${Id}: DestinationPath "${path}" must be an absolute path below / without "." and ".."`,
    },
  ];
}

/** An owner setting has both members, or it is no permission at all. */
function ownerProblems({ Id, Data: { OwnerSetting: owner } }: ModelResource): GroupProblem[] {
  if (!owner || (owner.GroupOwner && owner.GroupPermission)) return [];
  return [
    {
      code: 'RESOURCE_OWNER_ERROR',
      message: `InvalidMLModelOwner - GroupOwnerSetting is provided in ML model resource, but GroupOwner or GroupPermission is not present (resource ${Id})`,
    },
  ];
}

function accessProblems(
  { FunctionArn: arn, DeploymentConfiguration: settings }: GroupFunction,
  models: readonly ModelResource[],
  inContainer: boolean,
): GroupProblem[] {
  const problems: string[] = [];
  const attached: ModelResource[] = [];
  for (const policy of settings.Environment?.ResourceAccessPolicies ?? []) {
    const model = models.find(({ Id }) => Id === policy.ResourceId);
    if (!model) continue;
    attached.push(model);
    const { Permission } = policy;
    const ownerPermission = model.Data.OwnerSetting?.GroupPermission;
    if (!inContainer && Permission !== undefined) {
      problems.push(
        `NoContainer function cannot configure permission when attaching Machine Learning resources. ${arn} refers to Machine Learning resource ${model.Id} with permission ${Permission} in resource access policy.`,
      );
    } else if (modelPermission(policy, model) === undefined) {
      problems.push(
        `Function ${arn} refers to Machine Learning resource ${model.Id} with missing permission in both ResourceAccessPolicy and resource OwnerSetting.`,
      );
    } else if (Permission === 'rw' && ownerPermission === 'ro') {
      problems.push(
        `Function ${arn} refers to Machine Learning resource ${model.Id} with permission "rw", while resource owner setting GroupPermission only allows "ro".`,
      );
    }
  }
  const isClash = attached.some((one, index) =>
    attached.slice(index + 1).some((other) => isNested(one.Data.DestinationPath, other.Data.DestinationPath)),
  );
  if (isClash && !inContainer) {
    problems.push(`NoContainer Function ${arn} refers to resources of nested destination path.`);
  }
  return problems.map((message) => ({ code: 'RESOURCE_ACCESS_ERROR', message }));
}
