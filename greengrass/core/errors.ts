/** The core's error table: what a deployment can fail with. Codes are stable; they reach users in ErrorDetails. */
import type { DeploymentStage } from '../model/deployment.js';

export const DEPLOYMENT_ERROR_CODES = {
  DocumentDownloadFailed: 'document',
  DocumentDigestMismatch: 'document',
  DocumentInvalid: 'document',
  ArtifactDownloadFailed: 'artifacts',
  ArtifactDigestMismatch: 'artifacts',
  ArtifactUnsafe: 'artifacts',
  ArtifactTooLarge: 'artifacts',
  NotEnoughDiskSpace: 'artifacts',
  GroupConfigInvalid: 'checks',
  RootNotAllowed: 'checks',
  UserNotFound: 'checks',
  ResourceNotAccessible: 'checks',
  InterpreterNotFound: 'prepare',
  IsolationNotAvailable: 'prepare',
  ServerCertificateFailed: 'prepare',
  WorkerStartFailed: 'swap',
  WorkerUnhealthy: 'health',
  CommitFailed: 'commit',
  StageTimedOut: 'swap',
  Superseded: 'artifacts',
  InternalError: 'swap',
} as const satisfies Record<string, DeploymentStage>;

export type DeploymentErrorCode = keyof typeof DEPLOYMENT_ERROR_CODES;

/** A deployment can't go on. `message` is V1's text where V1 has one. */
export class DeploymentError extends Error {
  override readonly name = 'DeploymentError';
  readonly stage: DeploymentStage;
  constructor(
    readonly code: DeploymentErrorCode,
    message: string,
    /** `stage`: where the code alone does not say it. */
    options?: ErrorOptions & { readonly stage?: DeploymentStage },
  ) {
    super(message, options);
    this.stage = options?.stage ?? DEPLOYMENT_ERROR_CODES[code];
  }
}
