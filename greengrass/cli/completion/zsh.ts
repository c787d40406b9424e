/** The completion script for zsh. */
import { branches, firstWords, freeOptions, optionChoices, secondWords } from './tables.js';
import type { KnownVerb } from './vocabulary.js';

export function zshScript(verbs: readonly KnownVerb[]): string {
  const second = [...secondWords(verbs)].map(
    ([word, words]) => [word, `choices=(${words.join(' ')})`] as const,
  );
  const values = [...optionChoices(verbs)].map(
    ([name, choices]) => [name, `compadd -- ${choices.join(' ')}; return`] as const,
  );
  const options = verbs.map(
    ({ words, options }) =>
      [`'${words.join(' ')}'`, `compadd -- ${options.map(({ name }) => name).join(' ')}`] as const,
  );
  return `#compdef gg
# zsh completion of gg; source it after compinit, or save it as _gg in a folder of $fpath
_gg() {
  local verb="$words[2]"
  local -a choices
  if (( CURRENT <= 2 )); then
    compadd -- ${firstWords(verbs).join(' ')}
    return
  fi
  case "$verb" in
${branches(second)}
  esac
  if (( $#choices )); then
    if (( CURRENT == 3 )); then
      compadd -- $choices
      return
    fi
    verb="$verb $words[3]"
  fi
  case "$words[CURRENT-1]" in
${branches(values)}
    ${freeOptions(verbs).join('|')}) _files; return ;;
  esac
  case "$verb" in
${branches(options)}
  esac
}
if [ "$funcstack[1]" = _gg ]; then _gg "$@"; else compdef _gg gg; fi
`;
}
