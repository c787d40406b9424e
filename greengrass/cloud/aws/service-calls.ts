/**
 * Calls of AWS: a time limit for each, and errors in words. What the SDK throws names neither the service, nor what was
 * asked for, nor what an operator can do.
 */

/** A whole call, with the SDK's repetitions. */
const CALL_LIMIT_MS = 20_000;

export type AwsErrorKind = 'unreachable' | 'credentials' | 'permission' | 'refused';

/** AWS could not be asked, or refused. The message says which service, what was asked, why, and what to do. */
export class AwsError extends Error {
  override readonly name = 'AwsError';
  constructor(
    readonly kind: AwsErrorKind,
    message: string,
    cause: unknown,
  ) {
    super(message, { cause });
  }
}

/** "No such thing, function, secret": an answer, not a failure. */
const NOT_FOUND: ReadonlySet<string> = new Set(['ResourceNotFoundException', 'NotFoundException']);

const BAD_CREDENTIALS: ReadonlySet<string> = new Set([
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
  'IncompleteSignatureException',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'MissingAuthenticationTokenException',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
]);
const NO_PERMISSION: ReadonlySet<string> = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'ForbiddenException',
  'NotAuthorizedException',
  'UnauthorizedException',
]);

export interface AwsServiceName {
  /** As people call it: "AWS Lambda". */
  readonly service: string;
  /** Where it is reached: an address, or the region. */
  readonly where: string;
  /** Ends what is under way when the cloud stops. */
  readonly closed: AbortSignal;
}

/** Runs one call. Rejects with an AwsError. `subject` is what the operation is about: "function double". */
export async function callAws<T>(
  { service, where, closed }: AwsServiceName,
  operation: string,
  subject: string,
  send: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const end = () => limit.abort();
  const timer = setTimeout(end, CALL_LIMIT_MS);
  closed.addEventListener('abort', end);
  if (closed.aborted) end();
  try {
    return await send(limit.signal);
  } catch (error) {
    throw explain(error, `${service} (${where})`, `${operation} for ${subject}`);
  } finally {
    clearTimeout(timer);
    closed.removeEventListener('abort', end);
  }
}

/** The same, where the answer may be that there is none. */
export async function findAtAws<T>(
  name: AwsServiceName,
  operation: string,
  subject: string,
  send: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await callAws(name, operation, subject, send);
  } catch (error) {
    if (NOT_FOUND.has(((error as Error).cause as Error | undefined)?.name ?? '')) return undefined;
    throw error;
  }
}

function explain(error: unknown, who: string, what: string): AwsError {
  if (error instanceof AwsError) return error;
  const { name, message } = error as Error;
  if (BAD_CREDENTIALS.has(name)) {
    return new AwsError(
      'credentials',
      `${who} does not accept the credentials for ${what} (${name}: ${message}). Correct "credentials" in the file given with --aws, or those that the AWS SDK finds.`,
      error,
    );
  }
  if (NO_PERMISSION.has(name)) {
    return new AwsError(
      'permission',
      `${who} does not allow ${what} (${name}: ${message}). Give the credentials the permissions that docs/hybrid.md lists.`,
      error,
    );
  }
  // An answer of the service has a status; without one, nobody answered.
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  if (status === undefined || status >= 500) {
    const reason = [(error as NodeJS.ErrnoException).code ?? name, message].filter(Boolean).join(': ');
    return new AwsError(
      'unreachable',
      `${who} did not answer ${what} (${reason}). Try again once it can be reached.`,
      error,
    );
  }
  return new AwsError('refused', `${who} refused ${what}: ${name}: ${message}`, error);
}

/** The place of a method that would change what AWS keeps: rejects, and says where to do it. */
export function notHere(operation: string): (...parameters: unknown[]) => Promise<never> {
  return () =>
    Promise.reject(
      new Error(
        `This installation leaves ${operation} to AWS: do it there (AWS's console, command line or SDK)`,
      ),
    );
}
