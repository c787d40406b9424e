/** All that can be typed after gg, read off the definitions of the verbs themselves. */
import type { Command } from 'commander';
import { COMMON_OPTIONS, type CommonOption, PAGING_OPTIONS } from '../api/common-options.js';
import { optionWords } from '../api/values.js';
import { findVerb, shapeOf, type Verb, verbNames } from '../api/verbs.js';

export interface KnownOption {
  /** With its dashes. */
  readonly name: string;
  readonly takesValue: boolean;
  /** Words for the value; absent: anything. */
  readonly choices?: readonly string[];
}

/** A verb, of one word or of two: `device create`. */
export interface KnownVerb {
  readonly words: readonly [string] | readonly [string, string];
  readonly help: string;
  readonly options: readonly KnownOption[];
}

/** `own`: gg's own command, with its verbs. */
export function vocabulary(own: Command): readonly KnownVerb[] {
  return [...ownVerbs(own), ...verbNames().flatMap((name) => apiVerb(findVerb(name)))];
}

function ownVerbs(gg: Command): KnownVerb[] {
  return gg.commands.flatMap((command) => {
    if (command.commands.length === 0) return [known([command.name()], command)];
    return command.commands.map((inner) => known([command.name(), inner.name()], inner));
  });
}

function known(words: KnownVerb['words'], command: Command): KnownVerb {
  const options = command.options.flatMap(({ long, required, optional, argChoices }) =>
    long
      ? [{ name: long, takesValue: required || optional, ...(argChoices && { choices: argChoices }) }]
      : [],
  );
  return { words, help: command.description(), options: [...options, { name: '--help', takesValue: false }] };
}

function apiVerb(verb: Verb | undefined): KnownVerb[] {
  if (!verb) return [];
  const own = verb.options.flatMap((option): KnownOption[] => {
    const name = `--${option.name}`;
    if (optionWords(option) === 'none') {
      return [name, `--no-${option.name}`].map((flag) => ({ name: flag, takesValue: false }));
    }
    const choices = shapeOf(option.shape).enum;
    return [{ name, takesValue: true, ...(choices && { choices }) }];
  });
  const common = [...COMMON_OPTIONS, ...(verb.paging ? PAGING_OPTIONS : [])].map(commonOption);
  return [{ words: [verb.name], help: verb.operation, options: [...own, ...common] }];
}

function commonOption({ name, value, choices }: CommonOption): KnownOption {
  return { name: `--${name}`, takesValue: value !== undefined, ...(choices && { choices }) };
}
