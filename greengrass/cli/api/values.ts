/** From the words after an option to the member of the request: JSON, shorthand, files, plain words. */
import { UsageError } from '../usage-error.js';
import { readParamFile } from './param-file.js';
import { parseShorthand, ShorthandError, type ShorthandValue } from './shorthand.js';
import { membersOf, shapeOf, type VerbOption } from './verbs.js';

/** Whether an option takes several words (a list) or exactly one. A boolean is a flag and takes none. */
export function optionWords(option: VerbOption): 'none' | 'one' | 'several' {
  const { type } = shapeOf(option.shape);
  if (type === 'boolean') return 'none';
  return type === 'list' ? 'several' : 'one';
}

/** The value that the words of one option stand for. Types inside it are checked later, with the whole request. */
export function optionValue(option: VerbOption, words: readonly string[]): unknown {
  const { type, member } = shapeOf(option.shape);
  const [only, ...others] = words;
  if (only === undefined) throw new UsageError(`--${option.name}: expected a value`);
  const first = others.length === 0 ? readParamFile(only, option.name) : only;
  if (type === 'list' && member !== undefined) {
    if (others.length === 0 && first.trimStart().startsWith('[')) return json(option.name, first);
    return [first, ...others].map((word) => itemOf(option.name, member, word));
  }
  return itemOf(option.name, option.shape, first);
}

function itemOf(option: string, shapeName: string, word: string): unknown {
  const { type } = shapeOf(shapeName);
  if (type === 'integer' || type === 'long' || type === 'double') return numberOf(option, word);
  if (type === 'boolean') return booleanOf(word);
  if (type !== 'structure' && type !== 'map' && type !== 'list') return word;
  if (/^\s*[[{]/.test(word)) return json(option, word);
  try {
    const parsed = parseShorthand(word, (value) => readParamFile(value, option));
    return typed(option, shapeName, parsed);
  } catch (error) {
    if (error instanceof ShorthandError) {
      throw new UsageError(`--${option}: neither JSON nor shorthand (Key=value,Key=value): ${error.message}`);
    }
    throw error;
  }
}

/** Shorthand knows text only; the shape says which of it are numbers, booleans and lists of one. */
function typed(option: string, shapeName: string, value: ShorthandValue): unknown {
  const shape = shapeOf(shapeName);
  const { type } = shape;
  if (type === 'list' && shape.member !== undefined) {
    const { member } = shape;
    return (Array.isArray(value) ? value : [value]).map((item) => typed(option, member, item));
  }
  if (typeof value === 'string') {
    if (type === 'integer' || type === 'long' || type === 'double') return numberOf(option, value);
    return type === 'boolean' ? booleanOf(value) : value;
  }
  if (Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const itemShape = type === 'map' ? shape.value : membersOf(shapeName)[key]?.shape;
      return [key, itemShape === undefined ? item : typed(option, itemShape, item)];
    }),
  );
}

function numberOf(option: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isNaN(value)) throw new UsageError(`--${option}: "${text}" must be a number`);
  return value;
}

/** Anything but true and false stays as it is, and the check of the request refuses it. */
function booleanOf(text: string): boolean | string {
  const lower = text.toLowerCase();
  return lower === 'true' ? true : lower === 'false' ? false : text;
}

/** Parses JSON that was given to an option. */
export function json(option: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`--${option}: is not valid JSON (${(error as Error).message})`);
  }
}
