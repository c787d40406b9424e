/**
 * The API as an Express app: every request gets an id, is told to its service, is proven to be its caller's, is read
 * up to its limit, and then meets its operation. A refusal is answered in the service's own shape.
 */
import { randomUUID } from 'node:crypto';
import express, { type NextFunction, type Request, type Response } from 'express';
import { CheckError } from '../../lib/check.js';
import { recordResult } from './audit.js';
import { authenticator, principalOf } from './authentication.js';
import { bulkOperations } from './bulk-deployments.js';
import type { BulkRunner } from './bulk-runner.js';
import { ClientTokens } from './client-tokens.js';
import { connectivityOperations } from './connectivity-info.js';
import type { ApiContext } from './context.js';
import { definitionOperations } from './definitions.js';
import { deploymentOperations } from './deployments.js';
import { ApiError, refusal } from './errors.js';
import { authorityOperations } from './group-certificate-authorities.js';
import type { GroupDeployments } from './group-deployments.js';
import { groupOperations } from './groups.js';
import { certificateOperations } from './iot-certificates.js';
import { dataOperations } from './iot-data.js';
import { jobOperations } from './iot-jobs.js';
import { policyOperations } from './iot-policies.js';
import { policyVersionOperations } from './iot-policy-versions.js';
import { thingGroupMemberOperations } from './iot-thing-group-members.js';
import { thingGroupOperations } from './iot-thing-groups.js';
import { thingTypeOperations } from './iot-thing-types.js';
import { thingOperations } from './iot-things.js';
import { aliasOperations } from './lambda-aliases.js';
import { codeOperation } from './lambda-code.js';
import { functionOperations } from './lambda-functions.js';
import { Call, type Operation, Reply } from './operation.js';
import { roleOperations } from './roles.js';
import { runtimeConfigurationOperations } from './runtime-configuration.js';
import { objectOperations } from './s3.js';
import { bucketOperations } from './s3-buckets.js';
import { uploadOperations } from './s3-uploads.js';
import { secretOperations } from './secrets-manager.js';
import { isForS3, type Service, serviceOf } from './services.js';
import { softwareUpdateOperations } from './software-updates.js';
import { stsOperation } from './sts.js';
import { tagOperations } from './tags.js';

/** What operations share, beside the context. */
export interface Parts {
  readonly deployments: GroupDeployments;
  readonly bulk: BulkRunner;
}

/** Every operation that is served. */
export function operations(context: ApiContext, { deployments, bulk }: Parts): Operation[] {
  return [
    ...groupOperations(context),
    ...definitionOperations(context),
    ...deploymentOperations(context, deployments),
    ...bulkOperations(context, bulk),
    ...authorityOperations(context),
    ...connectivityOperations(context),
    ...roleOperations(context),
    ...tagOperations(context),
    ...runtimeConfigurationOperations(context),
    ...softwareUpdateOperations(context),
    ...thingOperations(context),
    ...thingTypeOperations(context),
    ...thingGroupMemberOperations(context),
    ...thingGroupOperations(context),
    ...certificateOperations(context),
    ...policyOperations(context),
    ...policyVersionOperations(context),
    ...dataOperations(context),
    ...jobOperations(context),
    ...functionOperations(context),
    ...aliasOperations(context),
    codeOperation(context),
    ...secretOperations(context),
    ...uploadOperations(context),
    ...objectOperations(context),
    ...bucketOperations(context),
    stsOperation(context),
  ];
}

export function createApp(context: ApiContext, parts: Parts): express.Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  const authenticate = authenticator(context);
  const tokens = new ClientTokens(context.store.tokens, context.exclusive);
  const router = express.Router({ caseSensitive: true });
  for (const operation of operations(context, parts)) {
    const handlers = operation.isPublic ? [] : [authenticate];
    const paths = typeof operation.path === 'string' ? [operation.path] : [...operation.path];
    const method = operation.method.toLowerCase() as 'get' | 'post' | 'put' | 'patch' | 'delete';
    const before = [isMeant(operation), ...handlers];
    router[method](paths, ...before, (request, response) =>
      serve(context, operation, tokens, request, response),
    );
  }
  app.use((_request, response, next) => {
    response.set('x-amzn-RequestId', randomUUID());
    next();
  });
  // Before the router, which would list the methods of a path to anybody.
  app.options(/.*/, authenticate, unknownOperation);
  app.use(router);
  app.use(authenticate, unknownOperation);
  app.use((error: unknown, request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) return next(error);
    refuse(context, error, request, response);
  });
  return app;
}

/** Operations on the path `/` are told apart by X-Amz-Target, those of S3 by the signature. */
function isMeant({ path, target, parameter, isS3 = false }: Operation): express.RequestHandler {
  return (request, _response, next) => {
    const isTarget = path !== '/' || request.get('x-amz-target') === target;
    const isNamed = parameter === undefined || queryNames(request.url).includes(parameter);
    next(isTarget && isNamed && isS3 === isForS3(request) ? undefined : 'route');
  };
}

function queryNames(url: string): string[] {
  const mark = url.indexOf('?');
  return mark < 0 ? [] : [...new URLSearchParams(url.slice(mark + 1)).keys()];
}

function unknownOperation(request: Request): void {
  const target = request.get('x-amz-target');
  const operation = `${request.method} ${request.path}${target === undefined ? '' : ` (${target})`}`;
  throw refusal('UnknownOperationException', `There is no operation ${operation}`);
}

async function serve(
  context: ApiContext,
  operation: Operation,
  tokens: ClientTokens,
  request: Request,
  response: Response,
): Promise<void> {
  const status = operation.status ?? 200;
  const service = serviceOf(request);
  let answer: object | Reply | undefined;
  try {
    checkNotLeftToAws(context, operation, service);
    answer = await handle(operation, tokens, request, response);
  } catch (error) {
    const refused = asApiError(error, service.badRequest);
    await recordResult(context, operation, request, response, refused);
    throw error;
  }
  await recordResult(context, operation, request, response, { status });
  response.status(answer instanceof Reply ? (answer.status ?? status) : status);
  if (answer instanceof Reply) sendReply(response, answer);
  else if (answer === undefined) response.end();
  else response.setHeader('content-type', service.contentType).end(JSON.stringify(answer));
}

/** In a hybrid installation some services are AWS's own; their operations here say so. */
function checkNotLeftToAws(
  { leftToAws }: ApiContext,
  { name }: Operation,
  { name: service, badRequest }: Service,
): void {
  const reason = leftToAws?.(service, name);
  if (reason !== undefined) throw refusal(badRequest, reason);
}

async function handle(
  operation: Operation,
  tokens: ClientTokens,
  request: Request,
  response: Response,
): Promise<object | Reply | undefined> {
  const body: unknown = request.body;
  const principal = principalOf(response);
  if (principal.kind === 'groupRole' && !operation.isForGroupRoles) {
    const { name } = serviceOf(request);
    throw refusal(
      'AccessDeniedException',
      `User: ${principal.arn} is not authorized to perform: ${name}:${operation.name}`,
    );
  }
  const call = new Call(request, Buffer.isBuffer(body) ? body : Buffer.alloc(0), principal);
  const token = operation.isIdempotent ? call.header('x-amzn-client-token') : undefined;
  if (token === undefined) return operation.handle(call);
  return tokens.once({ operation: operation.name, token, url: request.url, body: call.body }, async () => {
    const made = await operation.handle(call);
    return made instanceof Reply ? undefined : made;
  });
}

function sendReply(response: Response, { contentType, body, lengthBytes, headers }: Reply): void {
  response.setHeader('content-type', contentType).set(headers);
  if (lengthBytes !== undefined) response.set('content-length', String(lengthBytes));
  if (typeof body === 'string' || body instanceof Uint8Array) {
    response.end(body);
    return;
  }
  if (response.req.method === 'HEAD') {
    if ('destroy' in body && typeof body.destroy === 'function') body.destroy();
    response.end();
    return;
  }
  // The head is out: a broken file or a client that has gone can only end the connection.
  body.on('error', () => response.destroy());
  response.on('close', () => {
    if ('destroy' in body && typeof body.destroy === 'function') body.destroy();
  });
  body.pipe(response);
}

function refuse(context: ApiContext, error: unknown, request: Request, response: Response): void {
  const service = serviceOf(request);
  const requestId = String(response.getHeader('x-amzn-RequestId'));
  const answer = asApiError(error, service.badRequest);
  if (answer.status >= 500) {
    context.log.error(
      { err: error, method: request.method, path: request.path, requestId },
      'request failed',
    );
  } else {
    const { status, type, message } = answer;
    context.log.debug(
      { method: request.method, path: request.path, status, type, message },
      'request refused',
    );
  }
  if (answer.type !== undefined) response.set('x-amzn-ErrorType', answer.type);
  // Not by Express, which would add a character set that AWS does not send.
  response.status(answer.status).setHeader('content-type', service.contentType);
  response.end(service.renderError(answer.type, answer.message, requestId));
}

type BadRequestType = ReturnType<typeof serviceOf>['badRequest'];

function asApiError(error: unknown, badRequest: BadRequestType): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof CheckError) return refusal(badRequest, cut(error.message));
  // Errors of Express and of its body reader carry a status: a path that can't be decoded, a body that is too long.
  const status = error instanceof Error && 'status' in error ? Number(error.status) : 500;
  const message = error instanceof Error ? error.message : String(error);
  if (status === 413)
    return refusal('RequestEntityTooLargeException', `The request is too large: ${message}`);
  if (status === 415) return refusal('UnsupportedMediaTypeException', message);
  if (status >= 400 && status < 500) return refusal(badRequest, message);
  return refusal(
    'InternalFailure',
    'The request failed for a reason of our own. See the log of greengrass-cloud.',
  );
}

/** A body with ten thousand wrong members has ten thousand problems; an error is for reading. */
function cut(message: string): string {
  return message.length <= 4096 ? message : `${message.slice(0, 4096)}…`;
}
