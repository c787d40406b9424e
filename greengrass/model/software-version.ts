/** Versions of the core software, and the job that brings one to a core. Pure. */
import { z } from '../lib/check.js';

const VERSION = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]{1,32}))?$/;

export function isSoftwareVersion(text: string): boolean {
  return VERSION.test(text);
}

/** Below 0 where `a` is older than `b`. As semantic versions: 1.2.0-rc.1 comes before 1.2.0. */
export function compareSoftwareVersions(a: string, b: string): number {
  const [left, right] = [VERSION.exec(a), VERSION.exec(b)];
  if (!left || !right) throw new Error(`"${left ? b : a}" is not a version`);
  for (const part of [1, 2, 3]) {
    const difference = Number(left[part]) - Number(right[part]);
    if (difference !== 0) return difference;
  }
  const [before, after] = [left[4], right[4]];
  if (before === undefined || after === undefined) {
    return Number(before === undefined) - Number(after === undefined);
  }
  return before.localeCompare(after, 'en', { numeric: true });
}

/** `operation` of the jobs that OTA agents take; they leave all others alone. */
export const UPDATE_OPERATION = 'greengrass-software-update';

/** The document of an update's job. */
export const softwareUpdateJob = z.object({
  operation: z.literal(UPDATE_OPERATION),
  software: z.enum(['core', 'ota_agent']),
  version: z.string().regex(VERSION, 'must be a version'),
  operatingSystem: z.string().max(64),
  /** As `uname -m` says it. */
  architecture: z.string().max(64),
  logLevel: z.enum(['NONE', 'TRACE', 'DEBUG', 'VERBOSE', 'INFO', 'WARN', 'ERROR', 'FATAL']),
  package: z.object({
    /** On the Greengrass endpoint (ggHost, ggHttpPort), with the core's certificate. */
    path: z
      .string()
      .regex(/^\/greengrass\/jobs\/[\w-]{1,64}\/software\/[0-9a-f]{64}$/, 'must lie in /greengrass/jobs'),
    version: z.string().regex(VERSION, 'must be a version'),
    sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex'),
    size: z.number().int().min(1),
    /** Base64: of the SHA-256 digest, by the operator's key. */
    signature: z.string().min(1).max(2048),
  }),
});
export type SoftwareUpdateJob = z.output<typeof softwareUpdateJob>;
