/** Splits a command line into its options and their words. Knows nothing of values. */
import { UsageError } from '../usage-error.js';

/** How many words may follow an option. */
export type Arity = 'none' | 'one' | 'maybe' | 'several';

export type OptionWords = ReadonlyMap<string, readonly string[]>;

/**
 * Reads `--name word …` and `--name=word`. A word that starts with two dashes is an option, and a value only after
 * an equals sign. Given twice, the last one counts.
 *
 * @throws {UsageError} unknown options, too few or too many words
 */
export function splitWords(
  argv: readonly string[],
  arityOf: (option: string) => Arity | undefined,
): OptionWords {
  const options = new Map<string, string[]>();
  const unknown: string[] = [];
  let at = 0;
  while (at < argv.length) {
    const arg = argv[at++] ?? '';
    const [, name, inline] = /^--([^=]+)(?:=([\s\S]*))?$/.exec(arg) ?? [];
    const arity = name === undefined ? undefined : arityOf(name);
    if (name === undefined || arity === undefined) {
      unknown.push(name === undefined ? arg : `--${name}`);
      continue;
    }
    const words = inline === undefined ? [] : [inline];
    const most = { none: 0, one: 1, maybe: 1, several: Number.POSITIVE_INFINITY }[arity];
    while (inline === undefined && words.length < most && at < argv.length && !argv[at]?.startsWith('--')) {
      words.push(argv[at++] ?? '');
    }
    if (arity === 'none' && words.length > 0) throw new UsageError(`--${name}: takes no value`);
    if (words.length === 0 && (arity === 'one' || arity === 'several')) {
      throw new UsageError(`--${name}: expected ${arity === 'one' ? 'one value' : 'at least one value'}`);
    }
    options.set(name, words);
  }
  if (unknown.length > 0) throw new UsageError(`Unknown options: ${unknown.join(', ')}`);
  return options;
}
