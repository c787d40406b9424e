/** What an update leaves on the disk for who comes after a power cut: how far it is, and how the last one ended. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { syncFolder, writeFileAtomic } from '../../lib/atomic-file.js';
import { checkJson, z } from '../../lib/check.js';

/** An update that is not known to have worked yet: written before anything that runs is touched. */
const trial = z.object({
  jobId: z.string().optional(),
  from: z.string(),
  to: z.string(),
  /** How often the new version was started. */
  starts: z.number().int(),
  /** Why it goes back to the version before; absent while it goes on. */
  back: z.string().optional(),
});
export type Trial = z.output<typeof trial>;

/** How it ended; on failure the version before runs. */
const updateEnd = z.discriminatedUnion('status', [
  z.object({ status: z.literal('SUCCEEDED'), from: z.string(), to: z.string() }),
  z.object({ status: z.literal('FAILED'), reason: z.string(), runs: z.string() }),
  /** Nothing was begun. */
  z.object({ status: z.literal('REJECTED'), reason: z.string(), runs: z.string() }),
]);
export type UpdateEnd = z.output<typeof updateEnd>;

const outcome = z.object({ jobId: z.string(), end: updateEnd });
export type Outcome = z.output<typeof outcome>;

export class UpdateRecord {
  readonly #folder: string;
  readonly #trial: string;
  readonly #outcome: string;

  constructor(root: string) {
    this.#folder = join(root, 'ota');
    this.#trial = join(this.#folder, 'trial.json');
    this.#outcome = join(this.#folder, 'outcome.json');
  }

  /** The update whose end is not known, if there is one. What can't be read is none: the link says what runs. */
  get trial(): Trial | undefined {
    return read(trial, this.#trial);
  }

  /** Before the change that it speaks of. */
  keep(value: Trial): Trial {
    writeFileAtomic(this.#trial, JSON.stringify(value), 0o600);
    return value;
  }

  /** The end of the trial; how it ended is kept first, where a job waits to hear of it. */
  finish(end: UpdateEnd): void {
    const jobId = this.trial?.jobId;
    if (jobId !== undefined) this.keepOutcome({ jobId, end });
    this.#remove(this.#trial);
  }

  /** An end that no job has heard of yet. */
  get outcome(): Outcome | undefined {
    return read(outcome, this.#outcome);
  }

  keepOutcome(value: Outcome): void {
    writeFileAtomic(this.#outcome, JSON.stringify(value), 0o600);
  }

  /** The job has heard of it. */
  forgetOutcome(): void {
    this.#remove(this.#outcome);
  }

  #remove(file: string): void {
    if (!existsSync(file)) return;
    rmSync(file);
    syncFolder(this.#folder);
  }
}

function read<S extends z.ZodType>(schema: S, file: string): z.output<S> | undefined {
  try {
    return checkJson(schema, readFileSync(file, 'utf8'), file);
  } catch {
    return undefined;
  }
}
