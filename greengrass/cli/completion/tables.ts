/** What the scripts of bash and zsh share: which words stand where. */
import type { KnownOption, KnownVerb } from './vocabulary.js';

/** First words, each once. */
export function firstWords(verbs: readonly KnownVerb[]): string[] {
  return [...new Set(verbs.map(({ words }) => words[0]))];
}

/** `device` → `create`: the second words of those that have some. */
export function secondWords(verbs: readonly KnownVerb[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { words } of verbs) {
    const [first, second] = words;
    if (second !== undefined) found.set(first, [...(found.get(first) ?? []), second]);
  }
  return found;
}

/** Options with a fixed set of values; an option has the same set wherever it stands. */
export function optionChoices(verbs: readonly KnownVerb[]): Map<string, readonly string[]> {
  const all = verbs.flatMap(({ options }) => options);
  return new Map(all.flatMap(({ name, choices }) => (choices ? [[name, choices] as const] : [])));
}

/** Other options with a value: a file may complete it. */
export function freeOptions(verbs: readonly KnownVerb[]): string[] {
  const isFree = ({ takesValue, choices }: KnownOption) => takesValue && !choices;
  return [...new Set(verbs.flatMap(({ options }) => options.filter(isFree).map(({ name }) => name)))];
}

/** Branches of a shell's `case`: `pattern) body ;;`. */
export function branches(entries: Iterable<readonly [string, string]>): string {
  return [...entries].map(([pattern, body]) => `    ${pattern}) ${body} ;;`).join('\n');
}
