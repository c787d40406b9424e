/** The completion script for fish: one line for each verb, and one for each option with the verbs that have it. */
import { firstWords, secondWords } from './tables.js';
import type { KnownOption, KnownVerb } from './vocabulary.js';

export function fishScript(verbs: readonly KnownVerb[]): string {
  const lines = ['# fish completion of gg', 'complete -c gg -f'];
  for (const word of firstWords(verbs)) {
    const help = verbs.find(({ words }) => words.length === 1 && words[0] === word)?.help ?? '';
    lines.push(
      `complete -c gg -n __fish_use_subcommand -a ${word}${help === '' ? '' : ` -d ${quoted(help)}`}`,
    );
  }
  for (const [first, words] of secondWords(verbs)) {
    const none = `not ${seen(words)}`;
    lines.push(`complete -c gg -n '${seen([first])}; and ${none}' -a '${words.join(' ')}'`);
  }
  for (const [option, simple] of byOption(verbs.filter(({ words }) => words.length === 1))) {
    lines.push(`complete -c gg -n '${seen(simple.map(({ words }) => words[0]))}' ${option}`);
  }
  for (const { words, options } of verbs.filter((verb) => verb.words.length === 2)) {
    const both = words.map((word) => seen([word])).join('; and ');
    lines.push(...options.map((option) => `complete -c gg -n '${both}' ${flags(option)}`));
  }
  return `${lines.join('\n')}\n`;
}

function seen(words: readonly string[]): string {
  return `__fish_seen_subcommand_from ${words.join(' ')}`;
}

function byOption(verbs: readonly KnownVerb[]): Map<string, KnownVerb[]> {
  const found = new Map<string, KnownVerb[]>();
  for (const verb of verbs) {
    for (const option of verb.options) {
      found.set(flags(option), [...(found.get(flags(option)) ?? []), verb]);
    }
  }
  return found;
}

function flags({ name, takesValue, choices }: KnownOption): string {
  const long = `-l ${name.slice(2)}`;
  if (!takesValue) return long;
  return choices ? `${long} -x -a '${choices.join(' ')}'` : `${long} -r -F`;
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
