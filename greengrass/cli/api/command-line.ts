/** The command line of one API verb: what to ask for and how to print the answer. */
import { z } from '../../lib/check.js';
import { UsageError } from '../usage-error.js';
import {
  COMMON_OPTIONS,
  type CommonOption,
  OUTPUTS,
  type OutputName,
  PAGING_OPTIONS,
  REFUSED_OPTIONS,
} from './common-options.js';
import { checkInput, type Input } from './input-check.js';
import { readParamFile } from './param-file.js';
import { json, optionValue, optionWords } from './values.js';
import type { Verb } from './verbs.js';
import { type Arity, type OptionWords, splitWords } from './words.js';

/** Where the API is and whose keys sign; what is absent comes from the environment. */
export interface ConnectSettings {
  readonly endpoint?: string;
  readonly readyFile?: string;
  readonly region?: string;
  readonly profile?: string;
}

/** How a listing is cut. Counts are of items. */
export interface PageSettings {
  readonly maxItems?: number;
  readonly startingToken?: string;
  readonly pageSize?: string;
}

export type Request =
  | { readonly kind: 'help' }
  | { readonly kind: 'skeleton'; readonly of: 'input' | 'output' }
  | {
      readonly kind: 'call';
      readonly input: Input;
      readonly connect: ConnectSettings;
      readonly output: OutputName;
      /** Absent: one request, one answer. */
      readonly pages?: PageSettings;
    };

/**
 * Understands the words after the verb.
 *
 * @throws {UsageError} names the option and its rule
 */
export function parseCommandLine(verb: Verb, argv: readonly string[], env: NodeJS.ProcessEnv): Request {
  if (argv[0] === 'help' || argv[0] === '-h') return { kind: 'help' };
  const words = splitWords(argv, (name) => arityOf(verb, name));
  if (words.has('help')) return { kind: 'help' };
  const skeleton = words.get('generate-cli-skeleton');
  if (skeleton)
    return { kind: 'skeleton', of: choice(words, 'generate-cli-skeleton', ['input', 'output'], 'input') };
  const output = choice(words, 'output', OUTPUTS, defaultOutput(env));
  const one = (name: string) => words.get(name)?.[0];
  const connect = withoutAbsent({
    endpoint: one('endpoint') ?? one('endpoint-url'),
    readyFile: one('ready-file'),
    region: one('region'),
    profile: one('profile'),
  });
  const input = inputOf(verb, words);
  const pages = pageSettings(verb, words, input);
  return { kind: 'call', input, connect, output, ...(pages && { pages }) };
}

function arityOf(verb: Verb, name: string): Arity | undefined {
  const why = REFUSED_OPTIONS.get(name);
  if (why !== undefined) throw new UsageError(`--${name}: gg has no such option: ${why}`);
  for (const option of verb.options) {
    if (option.name === name) return optionWords(option);
    if (optionWords(option) === 'none' && `no-${option.name}` === name) return 'none';
  }
  const common = COMMON_OPTIONS.find((option) => option.name === name) ?? pagingOption(verb, name);
  if (!common) return undefined;
  if (common.value === undefined) return 'none';
  return common.optional ? 'maybe' : 'one';
}

/** As with AWS: --no-paginate is everywhere, the others stand with lists only. */
function pagingOption(verb: Verb, name: string): CommonOption | undefined {
  if (!verb.paging && name !== 'no-paginate') return undefined;
  return PAGING_OPTIONS.find((option) => option.name === name);
}

function choice<T extends string>(words: OptionWords, name: string, choices: readonly T[], otherwise: T): T {
  const given = words.get(name)?.[0];
  if (given === undefined) return otherwise;
  const found = choices.find((each) => each === given);
  if (found === undefined) {
    throw new UsageError(`--${name}: must be one of ${choices.join(', ')}, but is "${given}"`);
  }
  return found;
}

/** AWS's setting may name a format that gg does not have. */
function defaultOutput(env: NodeJS.ProcessEnv): OutputName {
  return OUTPUTS.find((each) => each === env.AWS_DEFAULT_OUTPUT) ?? 'json';
}

function inputOf(verb: Verb, words: OptionWords): Input {
  const input = new Map<string, unknown>(Object.entries(inputJson(words)));
  const wholeGiven = words.has('cli-input-json');
  const missing: string[] = [];
  for (const option of verb.options) {
    const given = words.get(option.name);
    if (optionWords(option) === 'none') {
      if (given) input.set(option.member, true);
      else if (words.has(`no-${option.name}`)) input.set(option.member, false);
    } else if (given) {
      input.set(option.member, optionValue(option, given));
    } else if (option.required && !wholeGiven) {
      missing.push(`--${option.name}`);
    }
  }
  if (missing.length > 0) {
    throw new UsageError(`the following arguments are required: ${missing.join(', ')}`);
  }
  return checkInput(verb.operation, Object.fromEntries(input));
}

function inputJson(words: OptionWords): object {
  const given = words.get('cli-input-json')?.[0];
  if (given === undefined) return {};
  const value = json('cli-input-json', readParamFile(given, 'cli-input-json'));
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject) throw new UsageError("--cli-input-json: must be a JSON object of the request's members");
  return value;
}

const count = z.coerce.number().int().min(1);

/** Who asks for a page by its token or size gets that page and no other, as with AWS. */
function pageSettings(verb: Verb, words: OptionWords, input: Input): PageSettings | undefined {
  const used = ['starting-token', 'page-size', 'max-items'].filter((name) => words.has(name));
  const byHand = 'NextToken' in input || 'MaxResults' in input;
  if (words.has('no-paginate') || byHand) {
    if (used.length === 0) return undefined;
    const other = byHand ? '--next-token and --max-results' : '--no-paginate';
    throw new UsageError(`${used.map((name) => `--${name}`).join(', ')}: cannot stand with ${other}`);
  }
  if (!verb.paging) return undefined;
  const number = (name: string) => {
    const given = words.get(name)?.[0];
    if (given === undefined) return undefined;
    const parsed = count.safeParse(given);
    if (parsed.success) return parsed.data;
    throw new UsageError(`--${name}: must be a whole number from 1 on, but is "${given}"`);
  };
  return withoutAbsent({
    maxItems: number('max-items'),
    startingToken: words.get('starting-token')?.[0],
    pageSize: number('page-size')?.toString(),
  });
}

/** The object without the members that are undefined. */
function withoutAbsent<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
