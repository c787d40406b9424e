/** The completion script for bash (3.2 and later: no associative arrays). */
import { branches, firstWords, freeOptions, optionChoices, secondWords } from './tables.js';
import type { KnownVerb } from './vocabulary.js';

export function bashScript(verbs: readonly KnownVerb[]): string {
  const second = [...secondWords(verbs)].map(
    ([word, words]) => [word, `words="${words.join(' ')}"`] as const,
  );
  const values = [...optionChoices(verbs)].map(
    ([name, choices]) => [name, `words="${choices.join(' ')}"`] as const,
  );
  const options = verbs.map(
    ({ words, options }) =>
      [`"${words.join(' ')}"`, `words="${options.map(({ name }) => name).join(' ')}"`] as const,
  );
  return `# bash completion of gg; source it, e.g. from ~/.bashrc
_gg() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="" verb="\${COMP_WORDS[1]}" words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -le 1 ]; then
    COMPREPLY=($(compgen -W "${firstWords(verbs).join(' ')}" -- "$current"))
    return
  fi
  previous="\${COMP_WORDS[COMP_CWORD-1]}"
  case "$verb" in
${branches(second)}
  esac
  if [ -n "$words" ]; then
    if [ "$COMP_CWORD" -eq 2 ]; then
      COMPREPLY=($(compgen -W "$words" -- "$current"))
      return
    fi
    verb="$verb \${COMP_WORDS[2]}"
    words=""
  fi
  case "$previous" in
${branches(values)}
    ${freeOptions(verbs).join('|')}) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  if [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  case "$verb" in
${branches(options)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _gg gg
`;
}
