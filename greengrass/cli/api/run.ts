/** Runs one API verb: command line, request, answer. Exit codes are those of AWS's command line. */
import { CheckError } from '../../lib/check.js';
import { GREENGRASS_API } from '../../model/greengrass-api.js';
import { ConnectError, whereTo } from '../connect.js';
import { errorText } from '../error-text.js';
import { formatAnswer, type Printable } from '../output/output.js';
import { UsageError } from '../usage-error.js';
import { CallError } from './call-error.js';
import type { Api } from './client.js';
import { parseCommandLine, type Request } from './command-line.js';
import { type Answer, listPages } from './paging.js';
import { inputSkeleton, outputSkeleton } from './skeleton.js';
import { verbHelp } from './verb-help.js';
import type { Verb } from './verbs.js';

export interface Terminal {
  readonly env: NodeJS.ProcessEnv;
  /** Columns. */
  readonly width: number;
  out(text: string): void;
  err(text: string): void;
}

/** 0 done · 252 wrong command line · 253 no endpoint or keys · 254 refused by the service · 255 anything else. */
export async function runVerb(verb: Verb, argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const request = parseCommandLine(verb, argv, terminal.env);
    if (request.kind === 'help') terminal.out(verbHelp(verb));
    else if (request.kind === 'skeleton') terminal.out(skeletonOf(verb, request.of));
    else await call(verb, request, terminal);
    return 0;
  } catch (error) {
    return tell(verb, error, terminal);
  }
}

function skeletonOf({ operation }: Verb, of: 'input' | 'output'): string {
  const model = GREENGRASS_API.operations[operation];
  const shape = of === 'input' ? model?.input : model?.output;
  const skeleton = of === 'input' ? inputSkeleton : outputSkeleton;
  return `${JSON.stringify(shape === undefined ? {} : skeleton(shape), null, 4)}\n`;
}

async function call(
  verb: Verb,
  request: Extract<Request, { kind: 'call' }>,
  { env, width, out }: Terminal,
): Promise<void> {
  if (request.connect.profile !== undefined) env.AWS_PROFILE = request.connect.profile;
  const to = whereTo(request.connect, env);
  const { openApi } = await import('./client.js');
  const api = openApi(to);
  try {
    out(await formatAnswer(request.output, await answerOf(api, verb, request), width));
  } finally {
    api.close();
  }
}

async function answerOf(
  api: Api,
  { operation, paging }: Verb,
  { input, pages }: Extract<Request, { kind: 'call' }>,
): Promise<Printable> {
  if (!paging || !pages) {
    const answer = await api.call(operation, input);
    return { operation, answer, pages: [answer] };
  }
  const { resultKey } = paging;
  const listing = await listPages((page) => api.call(operation, page), input, resultKey, pages);
  const asAnswer = (items: readonly unknown[]): Answer => ({ [resultKey]: items });
  const { nextToken } = listing;
  const rest = nextToken === undefined ? {} : { NextToken: nextToken };
  return {
    operation,
    answer: { ...asAnswer(listing.pages.flat()), ...rest },
    pages: [
      ...listing.pages.map(asAnswer),
      ...(nextToken === undefined ? [] : [{ NextToken: { NextToken: nextToken } }]),
    ],
  };
}

function tell(verb: Verb, error: unknown, { err }: Terminal): number {
  if (error instanceof UsageError) {
    err(`gg ${verb.name}: ${error.message}\n"gg ${verb.name} --help" lists the options.\n`);
    return 252;
  }
  err(`\n${errorText(error)}\n`);
  if (error instanceof CallError) return error.exitCode;
  return error instanceof ConnectError || error instanceof CheckError ? 253 : 255;
}
