/** What things may ask of AWS IoT Jobs: the payloads of their requests, checked. */
import { check, z } from '../../../lib/check.js';
import { JobRefusal } from './job-answers.js';

const token = z
  .string()
  .regex(/^[a-zA-Z0-9_-]+$/, 'must be of letters, digits, - and _')
  .max(64)
  .optional();
/** A job is executed once by a thing, so the number can be 1 only; AWS IoT's later ones are not known here. */
const executionNumber = z.number().int().optional();
/** Minutes until the job is through or the time is set again; -1 takes the time away. */
const stepTimeoutInMinutes = z
  .number()
  .int()
  .min(-1)
  .max(10_080)
  .refine((minutes) => minutes !== 0, 'must be 1 to 10080, or -1')
  .optional();
const statusDetails = z
  .record(z.string().regex(/^[a-zA-Z0-9:_-]{1,128}$/, 'must be a name'), z.string().min(1).max(1024))
  .optional();

export const plainRequest = z.looseObject({ clientToken: token });
export const startRequest = z.looseObject({ clientToken: token, statusDetails, stepTimeoutInMinutes });
export const describeRequest = z.looseObject({
  clientToken: token,
  executionNumber,
  includeJobDocument: z.boolean().default(true),
});
export const updateRequest = z.looseObject({
  clientToken: token,
  /** The others are AWS IoT's to set. */
  status: z.enum(['IN_PROGRESS', 'FAILED', 'SUCCEEDED', 'REJECTED']),
  statusDetails,
  expectedVersion: z.number().int().optional(),
  executionNumber,
  includeJobExecutionState: z.boolean().default(false),
  includeJobDocument: z.boolean().default(false),
  stepTimeoutInMinutes,
});

/** An empty payload is `{}`. Throws JobRefusal or CheckError. */
export function readRequest<S extends z.ZodType>(schema: S, payload: Buffer): z.output<S> {
  return check(schema, parse(payload), 'The request');
}

/** The client token of a request whatever else is wrong with it, so that its sender knows the answer for its own. */
export function clientTokenIn(payload: Buffer): string | undefined {
  try {
    return check(plainRequest, parse(payload), 'The request').clientToken;
  } catch {
    return undefined;
  }
}

function parse(payload: Buffer): unknown {
  if (payload.length === 0) return {};
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch {
    throw new JobRefusal('InvalidJson', 'The payload is not JSON.');
  }
}
