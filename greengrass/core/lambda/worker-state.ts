/**
 * V1's worker states and which may follow which. Pure.
 *
 *   NotStarted ──> Starting ──> Initialized ──> Waiting <──> Working
 *                     │              └──────────────│──────────┤
 *                     └──> FailedInitialization     └──────────┴──> Terminated
 */
import type { WorkerState } from '../ipc/work-desk.js';

const NEXT: Readonly<Record<WorkerState, readonly WorkerState[]>> = {
  NotStarted: ['Starting', 'Terminated'],
  Starting: ['Initialized', 'Waiting', 'FailedInitialization', 'Terminated'],
  Initialized: ['Waiting', 'Terminated'],
  Waiting: ['Working', 'Initialized', 'Terminated'],
  Working: ['Waiting', 'Initialized', 'Terminated'],
  FailedInitialization: ['Terminated'],
  Terminated: [],
};

export function mayFollow(from: WorkerState, to: WorkerState): boolean {
  return NEXT[from].includes(to);
}

/** The next state; throws where it can't follow, which is a defect of ours. */
export function transition(from: WorkerState, to: WorkerState): WorkerState {
  if (!mayFollow(from, to)) throw new Error(`a worker can't go from ${from} to ${to}`);
  return to;
}
