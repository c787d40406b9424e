/** gg's verbs around deployments: what would change, what happened and why. */
import type { Command } from 'commander';
import type { Clients } from './clients.js';
import type { ConnectOptions } from './connect.js';

interface Options extends ConnectOptions {
  readonly json?: boolean;
  readonly group?: string;
}

export interface VerbTools {
  /** Adds the options that every verb has. */
  readonly common: (command: Command) => Command;
  readonly connect: (options: Options) => Promise<Clients>;
  readonly tell: (options: Options, line: string, facts: object) => void;
}

export function addPlan(gg: Command, { common, connect, tell }: VerbTools): void {
  common(gg.command('plan <group>'))
    .description("what deploying a group's latest version would change on its core")
    .action(async (group: string, options: Options) => {
      const { planGroup, planText } = await import('./plan.js');
      const plan = await planGroup(await connect(options), group);
      tell(options, planText(plan), plan);
    });
}

export function addDeployment(gg: Command, { common, connect, tell }: VerbTools): void {
  common(gg.command('deployment').description('deployments that were made').command('explain <id>'))
    .description('how far a deployment is or how it ended, what that means, what to do')
    .option('--group <name>', 'name or id of its group; without it all groups are searched')
    .action(async (id: string, options: Options) => {
      const { explainDeployment, explanationText } = await import('./explain.js');
      const explained = await explainDeployment(await connect(options), id, options.group);
      tell(options, explanationText(explained), explained);
    });
}
