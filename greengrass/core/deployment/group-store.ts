/**
 * The group on disk: `deployment/group/group.json` (V1's place and shape, the document's exact bytes) and
 * `deployment.json` beside it (which deployment it came with). Replaced atomically: after a power cut there is the old
 * group or the new one.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { checkJson, z } from '../../lib/check.js';
import { EMPTY_GROUP, type GroupDocument, groupDocument } from '../../model/group.js';
import { passed } from './steps.js';

const deploymentMark = z.object({ deploymentId: z.string(), groupId: z.string() });
export type DeploymentMark = z.output<typeof deploymentMark>;

export class GroupStore {
  readonly #file: string;
  readonly #previous: string;
  readonly #mark: string;

  constructor(writeDirectory: string) {
    const folder = join(writeDirectory, 'deployment', 'group');
    this.#file = join(folder, 'group.json');
    this.#previous = join(folder, 'group.previous.json');
    this.#mark = join(folder, 'deployment.json');
  }

  /** The group to run; the empty one before the first deployment. Throws V1's text where the file is broken. */
  load(): GroupDocument {
    const text = readOptional(this.#file);
    if (text === undefined) return EMPTY_GROUP;
    try {
      return checkJson(groupDocument, text, this.#file);
    } catch (error) {
      throw new Error(
        `unable to create server due to: failed to load group: ${(error as Error).message}. Replace its content by {} and deploy again.`,
        { cause: error },
      );
    }
  }

  /** The deployment that the group came with, where there was one. Throws where its file is broken. */
  deployed(): DeploymentMark | undefined {
    const text = readOptional(this.#mark);
    if (text === undefined) return undefined;
    try {
      return checkJson(deploymentMark, text, this.#mark);
    } catch (error) {
      throw new Error(
        `${(error as Error).message}. Nothing has to be done: the newest deployment is run once more and writes it anew.`,
        { cause: error },
      );
    }
  }

  /** Makes `document` the group to run. The one before is kept beside it; where this throws, it still is the group. */
  commit(document: Uint8Array, mark: DeploymentMark): void {
    const before = readOptional(this.#file);
    if (before !== undefined) writeFileAtomic(this.#previous, before, 0o600);
    passed('commit-kept-previous');
    writeFileAtomic(this.#file, document, 0o600);
    passed('commit-group-written');
    try {
      // Behind the group: a cut in between makes the deployment run once more, which changes nothing.
      writeFileAtomic(this.#mark, JSON.stringify(mark), 0o600);
      passed('commit-mark-written');
    } catch (error) {
      // The deployment will be told as failed: the next start must not run its group.
      if (before === undefined) rmSync(this.#file, { force: true });
      else writeFileAtomic(this.#file, before, 0o600);
      throw error;
    }
  }

  /** Back to the empty group; the mark of the reset stays, so that it is not done twice. */
  reset(mark: DeploymentMark): void {
    writeFileAtomic(this.#file, '{}', 0o600);
    rmSync(this.#previous, { force: true });
    writeFileAtomic(this.#mark, JSON.stringify(mark), 0o600);
  }
}

function readOptional(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
