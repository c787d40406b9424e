/** The API's operations as verbs of the command line, under the names that `aws greengrass` gives them. Pure. */
import type { ShapeModel } from '../../model/api-model.js';
import { GREENGRASS_API } from '../../model/greengrass-api.js';
import { EXTENSION_MEMBERS } from '../../model/subscription-extension.js';

/** One option of a verb, made of one member of the operation's input. */
export interface VerbOption {
  /** Without the dashes: `group-id`. */
  readonly name: string;
  /** The API's name: `GroupId`. */
  readonly member: string;
  /** Name of its shape in the model. */
  readonly shape: string;
  readonly required: boolean;
}

/** How a listing verb is paged. All lists of this API use NextToken and MaxResults. */
export interface Paging {
  /** Member of the answer that holds the items. */
  readonly resultKey: string;
}

export interface Verb {
  readonly name: string;
  readonly operation: string;
  readonly options: readonly VerbOption[];
  /** Absent: the answer comes in one piece. */
  readonly paging?: Paging;
}

/** `S3UrlSignerRole` → `s3-url-signer-role`: a dash before each capital that starts a word. */
export function optionName(member: string): string {
  return member
    .replace(/(.)([A-Z][a-z]+)/g, '$1-$2')
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase();
}

/** A shape of the model. Throws where the model is broken, which is ours to repair. */
export function shapeOf(name: string): ShapeModel {
  const shape = GREENGRASS_API.shapes[name];
  if (!shape) throw new Error(`greengrass-api.ts has no shape "${name}"`);
  return shape;
}

/** Members of a structure: the model's, and behind them what greengrass-cloud knows beyond it. */
export function membersOf(shapeName: string): NonNullable<ShapeModel['members']> {
  const { members = {} } = shapeOf(shapeName);
  if (shapeName !== 'Subscription') return members;
  return {
    ...members,
    ...Object.fromEntries(EXTENSION_MEMBERS.map((name) => [name, { shape: '__integer' }])),
  };
}

const OPERATIONS: ReadonlyMap<string, string> = new Map(
  Object.keys(GREENGRASS_API.operations).map((operation) => [optionName(operation), operation]),
);

/** All verbs, in the order of the alphabet. */
export function verbNames(): string[] {
  return [...OPERATIONS.keys()].sort();
}

/** The verb with its options; undefined where the API has none of this name. */
export function findVerb(name: string): Verb | undefined {
  const operation = OPERATIONS.get(name);
  const model = operation === undefined ? undefined : GREENGRASS_API.operations[operation];
  if (operation === undefined || !model) return undefined;
  const input = model.input === undefined ? undefined : shapeOf(model.input);
  const options = Object.entries(input?.members ?? {}).map(([member, { shape }]) => ({
    name: optionName(member),
    member,
    shape,
    required: input?.required?.includes(member) ?? false,
  }));
  const paging = pagingOf(input, model.output === undefined ? undefined : shapeOf(model.output));
  return { name, operation, options, ...(paging && { paging }) };
}

function pagingOf(input: ShapeModel | undefined, output: ShapeModel | undefined): Paging | undefined {
  const asks = input?.members ?? {};
  if (!('NextToken' in asks && 'MaxResults' in asks)) return undefined;
  const lists = Object.entries(output?.members ?? {}).filter(
    ([, { shape }]) => shapeOf(shape).type === 'list',
  );
  const [resultKey] = lists[0] ?? [];
  return resultKey === undefined ? undefined : { resultKey };
}
