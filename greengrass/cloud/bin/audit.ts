/** `greengrass-cloud audit`: who changed what, when, and how it ended; a JSON object to a line, oldest first. */
import type { Command } from 'commander';
import { check, z } from '../../lib/check.js';
import { placeOptions, withPlace, withStore } from './place.js';

const options = z.object({
  ...placeOptions,
  since: z.iso.datetime({ error: 'must be a time such as 2026-11-21T00:00:00Z' }).optional(),
  operation: z.string().max(128).optional(),
  principal: z.string().max(2048).optional(),
  limit: z
    .string()
    .regex(/^[1-9]\d{0,6}$/, 'must be a number from 1 on')
    .transform(Number),
});

export function auditCommand(program: Command): void {
  withPlace(program.command('audit'))
    .description('prints the audit log: every write, who made it, and how it ended')
    .option('--since <time>', 'entries from this time on (ISO 8601, UTC)')
    .option('--operation <name>', 'of this operation, such as CreateDeployment')
    .option('--principal <arn>', 'of this caller')
    .option('--limit <count>', 'the newest so many', '1000')
    .action(async (given: unknown) => {
      const { since, operation, principal, limit, ...place } = check(
        options,
        given,
        'greengrass-cloud audit',
      );
      const filter = {
        limit,
        ...(since === undefined ? {} : { since: new Date(since).toISOString() }),
        ...(operation === undefined ? {} : { operation }),
        ...(principal === undefined ? {} : { principal }),
      };
      const entries = await withStore(place, (store) => store.audit.list(filter));
      for (const entry of entries) process.stdout.write(`${JSON.stringify(entry)}\n`);
    });
}
