/**
 * Validation of data that comes from outside. The only importer of zod.
 *
 * Every border (config file, group document, HTTP body, MQTT payload, IPC request) declares a schema here-with
 * and calls `check` once; inside, the types are trusted. A failure names every problem at once, each with the
 * place it was found at.
 */
import { z } from 'zod';

export { z };

/** One thing that is wrong: `path` in dot form ("coreThing.keepAlive"), `rule` in words. */
export interface Problem {
  readonly path: string;
  readonly rule: string;
}

/** Data from outside broke its rules. `where` names the file, request or topic it came from. */
export class CheckError extends Error {
  override readonly name = 'CheckError';
  constructor(
    readonly where: string,
    readonly problems: readonly Problem[],
  ) {
    super(`${where}: ${problems.map((p) => (p.path ? `${p.path}: ${p.rule}` : p.rule)).join('; ')}`);
  }
}

/** Returns `value` as the schema's output type, or throws a CheckError that lists all problems. */
export function check<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new CheckError(
    where,
    result.error.issues.map((issue) => ({ path: issue.path.map(String).join('.'), rule: issue.message })),
  );
}

/** Parses JSON text, then checks it. Broken JSON is a CheckError as well. */
export function checkJson<S extends z.ZodType>(schema: S, text: string, where: string): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CheckError(where, [{ path: '', rule: `is not valid JSON (${(error as Error).message})` }]);
  }
  return check(schema, value, where);
}
