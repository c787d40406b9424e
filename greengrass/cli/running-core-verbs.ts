/** gg's verbs that ask a core that runs on this machine. What they need is loaded when one of them runs. */
import type { Command } from 'commander';
import type { ShadowOptions } from './shadow.js';
import type { SpoolerOptions } from './spooler.js';
import type { TraceOptions } from './trace.js';

export function addTrace(gg: Command): void {
  gg.command('trace')
    .argument('[filter]', 'topic filter; everything where absent')
    .description('follow messages through a running core of this machine: who got them, or why nobody did')
    .option('--root <dir>', 'the greengrass root of the core (default: /greengrass)')
    .option('--source <text>', 'only messages whose source contains this')
    .option('--unrouted', 'only messages that did not reach every target')
    .option('--counters', 'how many messages found no target, by source and topic, since the last deployment')
    .option('--count <number>', 'end after so many messages', (text) => Number(text))
    .option('--json', 'one JSON text on a line for each message')
    .action(async (filter: string | undefined, options: TraceOptions) => {
      const { trace } = await import('./trace.js');
      const ended = new AbortController();
      process.once('SIGINT', () => ended.abort());
      await trace(
        { ...options, ...(filter === undefined ? {} : { filter }) },
        (text) => process.stdout.write(text),
        ended.signal,
      );
    });
}

export function addSpooler(gg: Command): void {
  gg.command('spooler')
    .description(
      'what waits for the cloud in a running core of this machine, what was lost, and the connection',
    )
    .option('--root <dir>', 'the greengrass root of the core (default: /greengrass)')
    .option('--json', 'print facts as JSON')
    .action(async (options: SpoolerOptions) =>
      (await import('./spooler.js')).showSpooler(options, (text) => process.stdout.write(text)),
    );
}

export function addShadow(gg: Command): void {
  const shadow = gg.command('shadow').description('shadows of a running core of this machine');
  const write = (text: string) => process.stdout.write(text);
  const verb = (usage: string, description: string) =>
    shadow
      .command(usage)
      .description(description)
      .option('--name <shadow>', "a named shadow; without it the thing's own")
      .option('--root <dir>', 'the greengrass root of the core (default: /greengrass)')
      .option('--json', 'print facts as JSON');
  verb('list', 'the shadows, and how their sync with the cloud stands').action(
    async (options: ShadowOptions) => (await import('./shadow.js')).listShadows(options, write),
  );
  verb('get <thing>', 'print the local shadow').action(async (thing: string, options: ShadowOptions) =>
    (await import('./shadow.js')).getShadow(thing, options, write),
  );
  verb(
    'update <thing> <document>',
    'update the local shadow, e.g. \'{"state":{"desired":{"on":true}}}\'',
  ).action(async (thing: string, document: string, options: ShadowOptions) =>
    (await import('./shadow.js')).updateShadow(thing, document, options, write),
  );
  verb('delete <thing>', 'delete the local shadow').action(async (thing: string, options: ShadowOptions) =>
    (await import('./shadow.js')).deleteShadow(thing, options, write),
  );
  verb(
    'diff <thing>',
    'what differs between the local shadow and that of the cloud; ends with 1 where anything does',
  ).action(async (thing: string, options: ShadowOptions) => {
    if (!(await (await import('./shadow.js')).diffShadow(thing, options, write))) process.exitCode = 1;
  });
}
