/**
 * Rules that a definition version must keep when it is made: what the model's types can't say. Whether things,
 * functions, resources of another definition exist is looked at by the deployment, as in V1. Texts are V1's where
 * they are known.
 */
import { posix } from 'node:path';
import { isSameSystemFunction, isSystemFunctionArn, SYSTEM_FUNCTIONS } from '../../model/arn.js';
import { isolationMode } from '../../model/function-config.js';
import { partyKind, subjectProblem } from '../../model/subscription.js';
import { trainingJobName } from '../store/object-source.js';
import type { FunctionContent, ResourceContent, SubscriptionContent } from './definition-content.js';
import { refusal, untypedRefusal } from './errors.js';
import { parseObjectUri } from './objects.js';

/** Throws V1's error where the functions break a rule of isolation. */
export function checkFunctions({ DefaultConfig, Functions = [] }: FunctionContent): void {
  const common = DefaultConfig?.Execution?.IsolationMode;
  if (common !== undefined && !isolationMode.safeParse(common).success) {
    throw refusal('BadRequestException', "Your 'IsolationMode' configuration for the group is invalid.");
  }
  for (const groupFunction of Functions) {
    const problem = isolationProblem(groupFunction, common ?? 'GreengrassContainer');
    if (problem) throw refusal('BadRequestException', problem);
  }
  refuseDuplicates('lambdas', Functions);
}

type FunctionMember = NonNullable<FunctionContent['Functions']>[number];

function isolationProblem({ FunctionArn: arn, FunctionConfiguration }: FunctionMember, common: string) {
  const environment = FunctionConfiguration?.Environment;
  const execution = environment?.Execution;
  if (arn !== undefined && isSystemFunctionArn(arn)) {
    const hasNone = [SYSTEM_FUNCTIONS.ipDetector, SYSTEM_FUNCTIONS.spooler];
    return execution && hasNone.some((other) => isSameSystemFunction(arn, other))
      ? `Execution configuration for function with arn ${arn} is not allowed.`
      : undefined;
  }
  const mode = execution?.IsolationMode ?? common;
  if (!isolationMode.safeParse(mode).success) {
    return `Your 'IsolationMode' configuration for function with arn ${arn} is invalid.`;
  }
  const memory = FunctionConfiguration?.MemorySize ?? 0;
  if (mode === 'GreengrassContainer') {
    return memory > 0
      ? undefined
      : `MemorySize configuration for function with arn ${arn} is required in IsolationMode=GreengrassContainer.`;
  }
  if (memory > 0) {
    return `MemorySize configuration for function with arn ${arn} is not allowed in IsolationMode=NoContainer.`;
  }
  return environment?.AccessSysfs
    ? `Access Sysfs configuration for function with arn ${arn} is not allowed in IsolationMode=NoContainer.`
    : undefined;
}

/** Throws V1's error, which names all subscriptions with an end or subject that is none. */
export function checkSubscriptions({ Subscriptions = [] }: SubscriptionContent): void {
  const problems = [
    ...Subscriptions.filter(({ Target }) => !partyKind(Target)).map(
      ({ Id, Target }) => `Subscription target is invalid. ID is '${Id}' and Target is '${Target}'`,
    ),
    ...Subscriptions.filter(({ Source }) => !partyKind(Source)).map(
      ({ Id, Source }) => `Subscription source is invalid. ID is '${Id}' and Source is '${Source}'`,
    ),
    ...Subscriptions.flatMap(({ Id, Subject }) => {
      const problem = subjectProblem(Subject);
      return problem
        ? [`Subscription subject is invalid. ID is '${Id}' and Subject is '${Subject}': ${problem}`]
        : [];
    }),
  ];
  if (problems.length > 0) throw invalid('subscriptions definition is invalid or corrupted', problems);
  refuseDuplicates('subscriptions', Subscriptions);
}

/** Throws V1's error, which names all resources that break a rule. */
export function checkResources({ Resources = [] }: ResourceContent): void {
  const problems = Resources.flatMap(resourceProblems);
  if (problems.length > 0) throw invalid('resources definition is invalid', problems);
  refuseDuplicates('resources', Resources);
  refuseDuplicates(
    'resources',
    Resources.map(({ Name }) => ({ Id: Name })),
    'Name',
  );
}

type ResourceMember = NonNullable<ResourceContent['Resources']>[number];

function resourceProblems({ Id, ResourceDataContainer: data }: ResourceMember): string[] {
  const given = Object.values(data).filter((value) => value !== undefined).length;
  if (given !== 1) return [`Resource '${Id}' must have exactly one kind of data, but has ${given}`];
  if (data.LocalDeviceResourceData) return devicePathProblems(data.LocalDeviceResourceData.SourcePath ?? '');
  const s3 = data.S3MachineLearningModelResourceData;
  if (s3) return [...modelUriProblems(s3.S3Uri ?? ''), ...modelProblems(s3)];
  const sageMaker = data.SageMakerMachineLearningModelResourceData;
  if (sageMaker) return [...jobProblems(sageMaker.SageMakerJobArn ?? ''), ...modelProblems(sageMaker)];
  if (!data.LocalVolumeResourceData) return [];
  const { SourcePath = '', DestinationPath = '' } = data.LocalVolumeResourceData;
  if (isAtOrBelow(SourcePath, '/sys')) return ['Accessing /sys is prohibited'];
  return [SourcePath, DestinationPath]
    .filter((path) => !isPlainAbsolute(path))
    .map((path) => `Volume resource path must be absolute and without "..", but got: ${path}`);
}

function modelUriProblems(uri: string): string[] {
  return parseObjectUri(uri)
    ? []
    : [`S3Uri of a model must be the address of an object in S3, but got: ${uri}`];
}

function jobProblems(arn: string): string[] {
  return trainingJobName(arn) === undefined
    ? [`SageMakerJobArn of a model must be the ARN of a training job, but got: ${arn}`]
    : [];
}

/** What both kinds of models have: where functions see them, and whose they are. */
function modelProblems({ DestinationPath: path = '', OwnerSetting: owner }: ModelData): string[] {
  const problems = [];
  if (!isPlainAbsolute(path) || posix.normalize(path) === '/') {
    problems.push(`Model destination path must be absolute, below / and without "..", but got: ${path}`);
  }
  if (owner && !(owner.GroupOwner && owner.GroupPermission)) {
    problems.push(
      'InvalidMLModelOwner - GroupOwnerSetting is provided in ML model resource, but GroupOwner or GroupPermission is not present',
    );
  }
  return problems;
}

interface ModelData {
  readonly DestinationPath?: string;
  readonly OwnerSetting?: { readonly GroupOwner?: string; readonly GroupPermission?: string };
}

function devicePathProblems(path: string): string[] {
  const isDevice = isPlainAbsolute(path) && isAtOrBelow(path, '/dev') && posix.normalize(path) !== '/dev';
  return isDevice ? [] : [`Device resource path should begin with /dev, but got: ${path}`];
}

function isAtOrBelow(path: string, folder: string): boolean {
  const plain = posix.normalize(`${path}/`);
  return plain.replace(/^\/+/, '/').startsWith(`${folder}/`);
}

function isPlainAbsolute(path: string): boolean {
  return path.startsWith('/') && !path.split('/').includes('..') && !path.includes('\0');
}

/** Ids are unique within their version. */
export function refuseDuplicates(name: string, entities: ReadonlyArray<{ Id: string }>, member = 'Id'): void {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { Id } of entities) (seen.has(Id) ? twice : seen).add(Id);
  if (twice.size === 0) return;
  throw invalid(
    `${name} definition is invalid`,
    [...twice].map((id) => `${member} '${id}' is used more than once`),
  );
}

/** V1's service sent these without a type. A long list is cut: an error is for reading. */
function invalid(what: string, problems: readonly string[]) {
  const shown = problems.slice(0, 100);
  if (shown.length < problems.length) shown.push(`and ${problems.length - shown.length} more`);
  return untypedRefusal(400, `The ${what}. (ErrorDetails: [${shown.join(', ')}])`);
}
