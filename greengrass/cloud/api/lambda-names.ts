/** How Lambda's API names functions: by name, partial ARN or ARN, with or without a qualifier. */
import { CheckError } from '../../lib/check.js';
import type { LambdaVersion } from '../store/store.js';
import type { ApiContext } from './context.js';
import { type ApiError, refusal } from './errors.js';
import type { Call } from './operation.js';

export const LATEST = '$LATEST';

const NAME =
  /^(?:(?:arn:aws[a-z-]*:lambda:([a-z0-9-]+):)?(\d{12}):function:|function:)?([a-zA-Z0-9_-]{1,64})(?::(\$LATEST|[a-zA-Z0-9_-]{1,128}))?$/;
const QUALIFIER = /^(\$LATEST|[a-zA-Z0-9_-]{1,128})$/;

export interface FunctionName {
  readonly name: string;
  /** Version, alias or `$LATEST`, where one was given. */
  readonly qualifier?: string;
}

type Place = Pick<ApiContext, 'region' | 'accountId'>;

/** Reads a function's name. Throws a CheckError, or an ApiError where it is of another account or region. */
export function parseFunctionName(text: string, { region, accountId }: Place): FunctionName {
  const match = NAME.exec(text);
  const [, givenRegion, givenAccount, name, qualifier] = match ?? [];
  if (name === undefined) throw wrong('FunctionName', `"${text}" is not the name or ARN of a function`);
  if ((givenRegion ?? region) !== region || (givenAccount ?? accountId) !== accountId) {
    throw refusal('ResourceNotFoundException', `Function not found: ${text}`);
  }
  return qualifier === undefined ? { name } : { name, qualifier };
}

/** The function in the path, with the qualifier of its ARN or of the query. */
export function functionNameOf(call: Call, place: Place): FunctionName {
  const { name, qualifier: inArn } = parseFunctionName(call.param('functionName'), place);
  const inQuery = call.query('Qualifier');
  if (inQuery !== undefined && !QUALIFIER.test(inQuery)) {
    throw wrong('Qualifier', `"${inQuery}" is neither a version nor an alias`);
  }
  if (inQuery !== undefined && inArn !== undefined && inQuery !== inArn) {
    throw wrong('Qualifier', `"${inQuery}" is not the qualifier of the function's ARN`);
  }
  const qualifier = inQuery ?? inArn;
  return qualifier === undefined ? { name } : { name, qualifier };
}

export function functionArn({ region, accountId }: Place, name: string, qualifier?: string): string {
  const arn = `arn:aws:lambda:${region}:${accountId}:function:${name}`;
  return qualifier === undefined ? arn : `${arn}:${qualifier}`;
}

export function functionNotFound(place: Place, { name, qualifier }: FunctionName): ApiError {
  return refusal('ResourceNotFoundException', `Function not found: ${functionArn(place, name, qualifier)}`);
}

/** The version that the name stands for: an alias is followed, no qualifier means `$LATEST`. */
export async function findVersion(context: ApiContext, wanted: FunctionName): Promise<LambdaVersion> {
  const { name, qualifier = LATEST } = wanted;
  const { lambdas } = context.store;
  const direct = await lambdas.find(name, qualifier);
  if (direct) return direct;
  const alias = await lambdas.findAlias(name, qualifier);
  const found = alias && (await lambdas.find(name, alias.functionVersion));
  if (!found) throw functionNotFound(context, wanted);
  return found;
}

/** Optimistic locking: the caller's revision must be the current one. */
export function checkRevision(given: string | undefined, current: string): void {
  if (given === undefined || given === current) return;
  throw refusal(
    'PreconditionFailedException',
    'The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id',
  );
}

function wrong(path: string, rule: string): CheckError {
  return new CheckError('1 validation error detected', [{ path, rule }]);
}
