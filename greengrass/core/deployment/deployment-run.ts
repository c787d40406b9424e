/**
 * One deployment, stage after stage: what it fetches, checks, changes, and how it goes back. Throws DeploymentError with
 * the old group running and on the disk.
 */
import type { Logger } from '../../lib/log.js';
import type { DeploymentNotice, DeploymentStage } from '../../model/deployment.js';
import type { GroupDocument, GroupFunction } from '../../model/group.js';
import { checkGroup, userFunctions } from '../../model/group-checks.js';
import { DeploymentError } from '../errors.js';
import type { ServiceClient } from '../service-client.js';
import type { ArtifactStore } from './artifact-store.js';
import { fetchDocument, readDocument } from './document.js';
import type { DeploymentMark, GroupStore } from './group-store.js';
import { type Persistence, persist, STAGE_LIMITS_MS, type StageLimits, within } from './stage-limits.js';
import { reached } from './steps.js';

/** A swap that took place and can still be undone. */
export interface Swap {
  health(): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

export interface DeploymentRunOptions {
  readonly service: Pick<ServiceClient, 'groupDocument' | 'downloadArtifact'>;
  readonly groupStore: GroupStore;
  readonly artifacts: ArtifactStore;
  /** Fetches the secrets of the group, sealed. */
  readonly fetchSecrets: (
    group: GroupDocument,
    place: { groupId: string; deploymentId: string },
  ) => Promise<void>;
  /** Puts the group in place of the one that runs; throws DeploymentError with the old one running. */
  readonly swap: (
    group: GroupDocument,
    codeFolders: ReadonlyMap<string, string>,
    onSwap: () => void,
  ) => Promise<Swap>;
  /** Stops all functions and deletes what V1's reset deletes (user logs, shadows, server certificate). */
  readonly reset: () => Promise<void>;
  readonly logger: Logger;
  /** For tests: how long stages may take. */
  readonly limits?: StageLimits;
}

/** Tells that a stage begins. */
export type Enter = (stage: DeploymentStage) => void;

export class DeploymentRun {
  readonly #options: DeploymentRunOptions;
  /** The way back of a swap that came too late; the next one waits for it. */
  #late: Promise<void> | undefined;

  constructor(options: DeploymentRunOptions) {
    this.#options = options;
  }

  /** `signal` ends the wait for the cloud, with its reason; what has begun to change the core goes on to its end. */
  async deploy(notice: DeploymentNotice, enter: Enter, signal: AbortSignal): Promise<void> {
    const { groupStore, logger } = this.#options;
    const { groupId, deploymentId } = notice;
    const { bytes, group, codeFolders } = await this.#fetch(notice, enter, signal);
    enter('checks');
    await reached('checks');
    const problems = checkGroup(group);
    if (problems.length > 0) {
      const texts = problems.map(({ message }) => message).join('; ');
      throw new DeploymentError(
        'GroupConfigInvalid',
        `Error while processing. group config is invalid: ${texts}`,
      );
    }
    enter('prepare');
    await reached('prepare');
    const swapped = await this.#swap(group, codeFolders, () => enter('swap'));
    try {
      enter('health');
      await reached('health');
      await swapped.health();
      enter('commit');
      await reached('commit');
      commit(groupStore, bytes, { deploymentId, groupId });
    } catch (error) {
      await swapped.rollback().catch((reason: Error) => {
        // The restart policy goes on trying; what is told is why there was a way back to go.
        logger.error({ deploymentId, reason: reason.message }, 'The old group did not come back whole.');
      });
      throw error;
    }
    await swapped.commit();
    await reached('committed');
    this.tidy();
    await reached('swept');
  }

  /** Why the group on the disk can't run whole, in words: code that is gone, files of another layout. */
  lack(): string | undefined {
    const { artifacts, groupStore } = this.#options;
    try {
      const { functions } = artifacts.missing(userFunctions(groupStore.load()));
      if (functions.length === 0) return undefined;
      return `the code of [${functions.map(({ FunctionArn }) => FunctionArn).join(' ')}] is not there`;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Leaves of all code that of the group on the disk. What can't be done now is done after the next deployment. */
  tidy(): void {
    const { artifacts, groupStore, logger } = this.#options;
    try {
      const group = groupStore.load();
      const functions = userFunctions(group);
      artifacts.link(functions);
      artifacts.sweep(functions);
      artifacts.models.sweep([group]);
    } catch (error) {
      logger.warn({ reason: (error as Error).message }, 'Old code could not be swept.');
    }
  }

  /** What the cloud has to give; the core waits for it. */
  async #fetch(notice: DeploymentNotice, enter: Enter, signal: AbortSignal) {
    const { artifacts, service } = this.#options;
    const { groupId, deploymentId } = notice;
    enter('document');
    await reached('document');
    const bytes = await persist(this.#persistence('document', signal), (either) =>
      fetchDocument(service, notice, either),
    );
    const group = readDocument(bytes, notice);
    enter('artifacts');
    await reached('artifacts');
    const functions = userFunctions(group);
    this.#makeRoom(group, functions);
    const codeFolders = await persist(this.#persistence('artifacts', signal), (either) =>
      artifacts.ensure(functions, (digest, file) =>
        service.downloadArtifact(groupId, deploymentId, digest, file, either),
      ),
    );
    await persist(this.#persistence('artifacts', signal), (either) =>
      artifacts.models.ensure(group, (digest, file) =>
        service.downloadArtifact(groupId, deploymentId, digest, file, either, 'mlmodel'),
      ),
    );
    await persist(this.#persistence('artifacts', signal), () =>
      this.#options.fetchSecrets(group, { groupId, deploymentId }),
    );
    signal.throwIfAborted();
    return { bytes, group, codeFolders };
  }

  #persistence(stage: 'document' | 'artifacts', signal: AbortSignal): Persistence {
    const { limits = STAGE_LIMITS_MS, logger } = this.#options;
    const onFailure = (error: Error, retryInMs: number) =>
      logger.warn({ stage, reason: error.message, retryInMs }, 'Deployment waits for the cloud.');
    return { stage, limitMs: limits[stage], signal, onFailure };
  }

  /** A swap that ends after its time is undone, and the next one waits for that. */
  async #swap(
    group: GroupDocument,
    codeFolders: ReadonlyMap<string, string>,
    onSwap: () => void,
  ): Promise<Swap> {
    const { swap, logger, limits = STAGE_LIMITS_MS } = this.#options;
    await this.#late;
    const swapping = swap(group, codeFolders, onSwap);
    return within('swap', limits.swap, swapping, () => {
      this.#late = swapping
        .then((late) => late.rollback())
        .catch((error: Error) =>
          logger.error({ reason: error.message }, 'A swap that came too late failed.'),
        );
    });
  }

  /** What a deployment left that failed goes before its successor fetches. */
  #makeRoom(group: GroupDocument, functions: readonly GroupFunction[]): void {
    const { artifacts, groupStore, logger } = this.#options;
    try {
      const running = groupStore.load();
      artifacts.sweep([...userFunctions(running), ...functions]);
      artifacts.models.sweep([running, group]);
    } catch (error) {
      if (error instanceof DeploymentError) throw error;
      logger.warn({ reason: (error as Error).message }, 'Old code could not be swept.');
    }
  }

  /** Back to the empty group. */
  async reset({ deploymentId, groupId }: DeploymentNotice, enter: Enter): Promise<void> {
    enter('swap');
    await this.#options.reset();
    enter('commit');
    this.#options.groupStore.reset({ deploymentId, groupId });
    this.#options.artifacts.link([]);
    this.#options.artifacts.sweep([]);
    this.#options.artifacts.models.sweep([]);
  }
}

function commit(groupStore: GroupStore, document: Buffer, mark: DeploymentMark): void {
  try {
    groupStore.commit(document, mark);
  } catch (error) {
    throw new DeploymentError(
      'CommitFailed',
      `the group could not be written to the disk: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
