/**
 * The named steps of a deployment, at which tests kill or hold a real core. Without GREENGRASS_TEST_STEPS, which nothing
 * but tests sets, `reached` and `passed` do nothing. It names a folder: a file `<step>.kill` in it ends the process there
 * as a power cut would, `<step>.hold` keeps it there until the file is gone; `<step>` appears when the step was reached.
 */
import { passedStep, reachedStep } from '../../lib/named-steps.js';

/** In the order in which a deployment passes them. */
export const DEPLOYMENT_STEPS = [
  'notice',
  'document',
  'artifacts',
  'artifact-fetched',
  'artifact-unpacked',
  'checks',
  'prepare',
  'swap-prepared',
  'swap-routed',
  'swap-started',
  'health',
  'commit',
  'commit-kept-previous',
  'commit-group-written',
  'commit-mark-written',
  'committed',
  'swept',
  'reported',
] as const;
export type DeploymentStep = (typeof DEPLOYMENT_STEPS)[number];

/** A step that can't wait. */
export const passed: (step: DeploymentStep) => void = passedStep;

export const reached: (step: DeploymentStep) => Promise<void> = reachedStep;
