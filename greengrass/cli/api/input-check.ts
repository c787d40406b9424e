/** The shape of a request, checked before it is sent: a wrong member is named here and not by a refusal from afar. */
import { CheckError, check, z } from '../../lib/check.js';
import { GREENGRASS_API } from '../../model/greengrass-api.js';
import { UsageError } from '../usage-error.js';
import { membersOf, shapeOf } from './verbs.js';

export type Input = Readonly<Record<string, unknown>>;

/**
 * The request, when it fits the operation's input. Enumerations are left to the service, which may know more of them.
 *
 * @throws {UsageError} names every member that does not fit
 */
export function checkInput(operation: string, input: unknown): Input {
  const shape = GREENGRASS_API.operations[operation]?.input;
  const schema = shape === undefined ? z.strictObject({}) : schemaOf(shape);
  try {
    return check(schema, input, 'Parameter validation failed') as Input;
  } catch (error) {
    if (error instanceof CheckError) throw new UsageError(error.message);
    throw error;
  }
}

/** Words for what is not there; for the rest those of the library. */
const missing = {
  error: ({ input }: { readonly input?: unknown }) => (input === undefined ? 'is required' : undefined),
};

function schemaOf(shapeName: string): z.ZodType {
  const shape = shapeOf(shapeName);
  switch (shape.type) {
    case 'structure':
      return structureOf(shapeName);
    case 'list':
      return z.array(schemaOf(shape.member ?? ''), missing);
    case 'map':
      return z.record(z.string(), schemaOf(shape.value ?? ''), missing);
    case 'boolean':
      return z.boolean(missing);
    case 'integer':
    case 'long':
      return z.int(missing);
    case 'double':
      return z.number(missing);
    default:
      return z.string(missing);
  }
}

function structureOf(shapeName: string): z.ZodType {
  const { required = [] } = shapeOf(shapeName);
  const members = membersOf(shapeName);
  const known = Object.keys(members);
  const entries = Object.entries(members).map(([name, { shape }]) => {
    const schema = schemaOf(shape);
    return [name, required.includes(name) ? schema : schema.optional()] as const;
  });
  return z.strictObject(Object.fromEntries(entries), {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `unknown parameter ${issue.keys?.join(', ')}, must be one of: ${known.join(', ')}`
        : missing.error(issue),
  });
}
