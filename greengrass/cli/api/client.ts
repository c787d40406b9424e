/** One call of the API by the operation's name, and how its failures are told. */
import * as sdk from '@aws-sdk/client-greengrass';
import { GREENGRASS_API } from '../../model/greengrass-api.js';
import type { ConnectedTo } from '../connect.js';
import { withExtensions } from '../extensions.js';
import { CallError } from './call-error.js';
import type { Input } from './input-check.js';
import type { Answer } from './paging.js';
import { membersOf, shapeOf } from './verbs.js';

// The versions we pin run on Node.js 20; the clients' advice to upgrade is not for gg's users.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

export interface Api {
  /** The answer with its members in the model's order, and no others. */
  call(operation: string, input: Input): Promise<Answer>;
  close(): void;
}

type AnyCommand = Parameters<sdk.GreengrassClient['send']>[0];

export function openApi({ endpoint, region, credentials }: ConnectedTo): Api {
  const client = withExtensions(
    new sdk.GreengrassClient({ endpoint, region, ...(credentials && { credentials }) }),
  );
  return {
    call: async (operation, input) => {
      const command = commandOf(operation, input);
      try {
        const answer: unknown = await client.send(command);
        const output = GREENGRASS_API.operations[operation]?.output;
        return output === undefined ? {} : (inModelOrder(output, answer) as Answer);
      } catch (error) {
        throw callError(operation, endpoint, error);
      }
    },
    close: () => client.destroy(),
  };
}

function commandOf(operation: string, input: Input): AnyCommand {
  const found: unknown = Object.entries(sdk).find(([name]) => name === `${operation}Command`)?.[1];
  if (typeof found !== 'function') throw new Error(`the SDK has no ${operation}Command`);
  const Command = found as new (input: Input) => AnyCommand;
  return new Command(input);
}

/** The service sends these as numbers, though the model calls them text; the SDK makes text of them. */
const NUMBERS = new Set(['CertificateAuthorityExpiryInMilliseconds', 'CertificateExpiryInMilliseconds']);

/** Drops what the SDK adds ($metadata), and sorts as AWS's command line does. */
function inModelOrder(shapeName: string, value: unknown): unknown {
  const shape = shapeOf(shapeName);
  if (Array.isArray(value)) return value.map((item) => inModelOrder(shape.member ?? '', item));
  if (typeof value !== 'object' || value === null || shape.type !== 'structure') return value;
  const members: ReadonlyMap<string, unknown> = new Map(Object.entries(value));
  return Object.fromEntries(
    Object.entries(membersOf(shapeName)).flatMap(([name, { shape: inner }]) => {
      const member = members.get(name);
      if (member === undefined || member === null) return [];
      return [[name, NUMBERS.has(name) ? Number(member) : inModelOrder(inner, member)]];
    }),
  );
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
]);

function callError(operation: string, endpoint: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (error instanceof sdk.GreengrassServiceException) {
    const status = error.$metadata.httpStatusCode;
    const code = /^Unknown/.test(error.name) ? String(status) : error.name;
    return new CallError(
      `An error occurred (${code}) when calling the ${operation} operation: ${error.message}`,
      254,
    );
  }
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && UNREACHABLE.has(code)) {
    return new CallError(
      `Could not connect to the endpoint URL: "${endpoint}" (${code}): is greengrass-cloud running there?`,
      255,
    );
  }
  if (error.name === 'CredentialsProviderError') {
    return new CallError(
      'Unable to locate credentials: give --ready-file, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write ~/.aws/credentials',
      253,
    );
  }
  if (/input HTTP label/.test(error.message)) return new CallError(error.message, 252);
  return new CallError(`${operation}: ${error.message}`, 255);
}
