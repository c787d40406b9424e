/** The input file of a bulk deployment: one JSON object to a line. Errors of form fail the whole, in V1's words. */

/** Largest input in bytes. */
export const MAX_INPUT_BYTES = 100 * 1024 * 1024;
/** A line is shorter than this. */
const MAX_LINE = 256;

export interface BulkRecord {
  readonly GroupId: string;
  readonly GroupVersionId: string;
}

/** The input breaks a rule; the message is what GetBulkDeploymentStatus answers. */
export class BulkInputError extends Error {
  override readonly name = 'BulkInputError';
}

/** Reads the records; empty lines are skipped. Throws BulkInputError at the first line that is wrong. */
export function parseBulkInput(bytes: Uint8Array): BulkRecord[] {
  const text = decode(bytes);
  const records = text.split('\n').flatMap((line, index) => {
    const plain = line.trim();
    return plain === '' ? [] : [parseLine(plain, index + 1)];
  });
  if (records.length === 0) throw new BulkInputError('InvalidInputFile: The input file has no records.');
  return records;
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new BulkInputError('InvalidInputFile: The input file is not UTF-8.');
  }
}

function parseLine(line: string, number: number): BulkRecord {
  if (line.length >= MAX_LINE) {
    throw new BulkInputError(
      `Line ${number} is too long in S3 File. Valid line is less than ${MAX_LINE} chars.`,
    );
  }
  const { GroupId, GroupVersionId, DeploymentType } = parseObject(line, number);
  if (typeof GroupId !== 'string' || GroupId === '') throw missing('GroupId', number);
  if (typeof GroupVersionId !== 'string' || GroupVersionId === '') throw missing('GroupVersionId', number);
  if (DeploymentType !== undefined && DeploymentType !== 'NewDeployment') {
    throw new BulkInputError(
      `InvalidInputFile: Invalid deployment type at line number : ${number}. Only valid type is 'NewDeployment'.`,
    );
  }
  return { GroupId, GroupVersionId };
}

function parseObject(line: string, number: number): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Said below, as for what is JSON but no object.
  }
  throw new BulkInputError(`Failed to parse input file at line number: ${number}`);
}

function missing(member: string, number: number): BulkInputError {
  return new BulkInputError(`InvalidInputFile: Missing ${member} at line number: ${number}`);
}
