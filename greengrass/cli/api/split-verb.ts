/** Finds the API verb in a command line, also behind options: `gg --region r list-groups`, as AWS allows it. */
import { COMMON_OPTIONS } from './common-options.js';
import { findVerb, type Verb } from './verbs.js';

/** The verb and the words around it; no verb where the first word is none of the API's. */
export function splitVerb(argv: readonly string[]): { verb?: Verb; rest: readonly string[] } {
  let at = 0;
  while (argv[at]?.startsWith('--')) {
    const option = COMMON_OPTIONS.find(({ name }) => `--${name}` === argv[at]);
    at += option?.value !== undefined && !option.optional ? 2 : 1;
  }
  const asked = argv[0] === 'help' ? findVerb(argv[1] ?? '') : undefined;
  if (asked) return { verb: asked, rest: ['--help'] };
  const verb = findVerb(argv[at] ?? '');
  if (!verb) return { rest: argv };
  return { verb, rest: [...argv.slice(at + 1), ...argv.slice(0, at)] };
}
