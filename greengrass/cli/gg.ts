#!/usr/bin/env node
/**
 * gg: one command for people. Loads what the verb needs and no more.
 *
 * Exit codes of its own verbs: 0 done, 1 failed, 2 wrong command line; of the API's verbs: those of api/run.ts.
 */
import { splitVerb } from './api/split-verb.js';

async function main(argv: readonly string[]): Promise<number> {
  const { verb, rest } = splitVerb(argv);
  if (!verb) return (await import('./own-verbs.js')).runOwnVerb(argv);
  const { runVerb } = await import('./api/run.js');
  return runVerb(verb, rest, {
    env: process.env,
    width: process.stdout.columns ?? 80,
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
  });
}

// `gg … | head` ends the reader early; that is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
// The AWS SDK remarks on answers it did not expect, with stack traces; it takes hold of this when it is loaded.
console.warn = () => {};
process.exitCode = await main(process.argv.slice(2));
