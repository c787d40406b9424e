/** The configuration of a function in a group: fields, defaults, limits (V1 lambda-group-config). */
import { z } from '../lib/check.js';

export const isolationMode = z.enum(['GreengrassContainer', 'NoContainer']);
export type IsolationMode = z.infer<typeof isolationMode>;

export const encodingType = z.enum(['json', 'binary']);
export type EncodingType = z.infer<typeof encodingType>;

export const runAs = z.object({
  Uid: z.number().int().min(0).optional(),
  Gid: z.number().int().min(0).optional(),
});

export const execution = z.object({
  IsolationMode: isolationMode.optional(),
  RunAs: runAs.optional(),
});
export type Execution = z.infer<typeof execution>;

const resourceAccessPolicy = z.object({
  ResourceId: z.string().min(1).max(128),
  Permission: z.enum(['ro', 'rw']).optional(),
});
export type ResourceAccessPolicy = z.infer<typeof resourceAccessPolicy>;

export const functionEnvironment = z.object({
  Variables: z.record(z.string(), z.string()).optional(),
  AccessSysfs: z.boolean().optional(),
  ResourceAccessPolicies: z.array(resourceAccessPolicy).optional(),
  Execution: execution.optional(),
});

/** Invocation time limit where none is given, in seconds. */
export const DEFAULT_TIMEOUT_S = 3;

/** Runtime ARN of functions that are a plain executable. */
export const EXECUTABLE_RUNTIME = 'arn:aws:greengrass:::runtime/function/executable';
