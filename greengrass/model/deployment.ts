/** Deployments: types, states, and the notice that travels from cloud to core. */
import { z } from '../lib/check.js';

export const deploymentType = z.enum([
  'NewDeployment',
  'Redeployment',
  'ResetDeployment',
  'ForceResetDeployment',
]);
export type DeploymentType = z.infer<typeof deploymentType>;

export const deploymentStatus = z.enum(['Building', 'InProgress', 'Success', 'Failure']);
export type DeploymentStatus = z.infer<typeof deploymentStatus>;

/**
 *   Building ──> InProgress ──> Success
 *      └─────────────┴────────> Failure
 */
const NEXT: Record<DeploymentStatus, readonly DeploymentStatus[]> = {
  Building: ['InProgress', 'Success', 'Failure'],
  InProgress: ['Success', 'Failure'],
  Success: [],
  Failure: [],
};

export function mayFollow(from: DeploymentStatus, to: DeploymentStatus): boolean {
  return NEXT[from].includes(to);
}

export function isFinal(status: DeploymentStatus): boolean {
  return NEXT[status].length === 0;
}

/** The stages a deployment passes on the core, in order; reported with the status. */
export const DEPLOYMENT_STAGES = [
  'notice',
  'document',
  'artifacts',
  'checks',
  'prepare',
  'swap',
  'health',
  'commit',
] as const;
export type DeploymentStage = (typeof DEPLOYMENT_STAGES)[number];

const errorDetail = z.object({
  DetailedErrorCode: z.string(),
  DetailedErrorMessage: z.string(),
});
export type ErrorDetail = z.infer<typeof errorDetail>;

/** `state.desired` of the shadow of thing `<core>-gda`: what the cloud wants the core to do. WIRE.md §1. */
export const deploymentNotice = z.object({
  wireVersion: z.literal(1),
  deploymentId: z.string().min(1).max(128),
  deploymentType,
  groupId: z.string().min(1).max(128),
  /** Absent for a reset. */
  groupVersionId: z.string().optional(),
  /** SHA-256 of the group document's bytes, lower-case hex. Absent for a reset. */
  documentSha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});
export type DeploymentNotice = z.infer<typeof deploymentNotice>;

/** `state.reported` of the same shadow: how far the core is. Members that do not apply are null. WIRE.md §1. */
export const deploymentReport = z.object({
  deploymentId: z.string(),
  status: z.enum(['InProgress', 'Success', 'Failure']),
  stage: z.enum(DEPLOYMENT_STAGES).nullish(),
  errorMessage: z.string().nullish(),
  errorDetails: z.array(errorDetail).nullish(),
});
export type DeploymentReport = z.infer<typeof deploymentReport>;

/** Thing whose shadow carries notices and reports. V1's core policy allows `$aws/things/<core>-*`. */
export function deploymentThingName(coreThingName: string): string {
  return `${coreThingName}-gda`;
}
