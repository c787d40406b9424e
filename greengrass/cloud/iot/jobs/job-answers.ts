/** What AWS IoT Jobs says to things: its shapes, and its refusals by their codes. Times are seconds since the epoch. */
import { isTerminal, type JobExecution } from '../../store/job-executions.js';

export type JobRejection =
  | 'InvalidJson'
  | 'InvalidRequest'
  | 'InvalidStateTransition'
  | 'ResourceNotFound'
  | 'VersionMismatch'
  | 'InternalError'
  | 'TerminalStateReached';

/** A request of a thing is refused. `execution`: as it is, for who has an older one in mind. */
export class JobRefusal extends Error {
  override readonly name = 'JobRefusal';
  constructor(
    readonly code: JobRejection,
    message: string,
    readonly execution?: JobExecution,
  ) {
    super(message);
  }
}

export function seconds(iso: string): number {
  return Math.floor(Date.parse(iso) / 1000);
}

export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** An execution without what it is about. There is one execution of a job for a thing, so its number is 1. */
export function summaryOf({ jobId, queuedAt, startedAt, updatedAt, version }: JobExecution): object {
  return {
    jobId,
    queuedAt: seconds(queuedAt),
    lastUpdatedAt: seconds(updatedAt),
    ...(startedAt === undefined ? {} : { startedAt: seconds(startedAt) }),
    executionNumber: 1,
    versionNumber: version,
  };
}

/** `document`: JSON text of the job; absent where it was not asked for. */
export function executionOf(execution: JobExecution, document: string | undefined): object {
  const { thingName, status, statusDetails } = execution;
  return {
    ...summaryOf(execution),
    thingName,
    status,
    ...(Object.keys(statusDetails).length > 0 ? { statusDetails } : {}),
    ...(document === undefined ? {} : { jobDocument: JSON.parse(document) as unknown }),
  };
}

export function stateOf({ status, statusDetails, version }: JobExecution): object {
  return { status, statusDetails, versionNumber: version };
}

/** `jobs` of the message on `notify`: by status, those that are not through. */
export function pendingByStatus(pending: readonly JobExecution[]): Record<string, object[]> {
  const jobs: Record<string, object[]> = {};
  for (const execution of pending) {
    if (isTerminal(execution.status)) continue;
    const list = jobs[execution.status] ?? [];
    list.push(summaryOf(execution));
    jobs[execution.status] = list;
  }
  return jobs;
}
