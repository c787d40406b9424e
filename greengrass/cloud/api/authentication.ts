/**
 * Who is calling? First the head of the request is looked at (known key, right time, region and service), then the
 * body is read up to the service's limit, then the signature over both is verified: nobody without a key can make the
 * server read a large body.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import express, { type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import type { Principal } from './operation.js';
import { openPayload } from './s3-payload.js';
import { isForS3, type Service, serviceOf } from './services.js';
import { readSignature, type Signature, verifySignature } from './sigv4.js';

interface Caller {
  readonly principal: Principal;
  readonly secretAccessKey: string;
}

/** Reads the body into `request.body`, who called into `response.locals.principal`, where the signature is good. */
export function authenticator(context: ApiContext): RequestHandler {
  const readers = new Map<number, RequestHandler>();
  return async (request, response, next) => {
    const service = serviceOf(request);
    if (context.auth === 'none') {
      refuseForeignPages(request);
      await readBody(readers, service, request, response);
      if (isForS3(request)) openPayload(request);
      response.locals.principal = ANONYMOUS;
      next();
      return;
    }
    const signed = { method: request.method, url: request.originalUrl, rawHeaders: request.rawHeaders };
    const signature = readSignature(signed, new Date());
    const caller = await callerOf(context, signature);
    checkScope(signature, service, context.region);
    await readBody(readers, service, request, response);
    const body: unknown = request.body;
    const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
    verifySignature(signed, bytes, signature, caller.secretAccessKey);
    if (signature.service === 's3') openPayload(request, { signature, ...caller });
    response.locals.principal = caller.principal;
    next();
  };
}

const ANONYMOUS: Principal = { kind: 'anonymous', arn: 'anonymous', accessKeyId: '-' };

/** What `authenticator` found; before it, nobody is known. */
export function principalOf(response: Response): Principal {
  return (response.locals.principal as Principal | undefined) ?? ANONYMOUS;
}

/**
 * Without signatures, any web page that is open on this machine could call the API: a browser says where a page comes
 * from, and a name that was made to point here stands in Host. SDKs and commands send neither.
 */
function refuseForeignPages(request: Request): void {
  const host = request.get('host') ?? '';
  const origin = request.get('origin');
  const isLocal = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host);
  if (isLocal && (origin === undefined || origin === `http://${host}`)) return;
  throw refusal('AccessDeniedException', 'Without signatures only clients on this machine are served.');
}

/** A session token comes with temporary credentials, and with no others. */
async function callerOf({ store, accountId }: ApiContext, signature: Signature): Promise<Caller> {
  const { accessKeyId, sessionToken } = signature;
  if (sessionToken === undefined) {
    const key = (await store.settings.accessKeys()).find((one) => one.accessKeyId === accessKeyId);
    if (!key || key.status === 'Inactive') throw invalidToken();
    const arn = `arn:aws:iam::${accountId}:root`;
    return { principal: { kind: 'operator', arn, accessKeyId }, secretAccessKey: key.secretAccessKey };
  }
  const session = await store.roleSessions.find(accessKeyId);
  const digest = createHash('sha256').update(sessionToken).digest();
  if (!session || !timingSafeEqual(digest, Buffer.from(session.tokenSha256Hex, 'hex'))) throw invalidToken();
  if (Date.parse(session.expiresAt) <= Date.now()) {
    throw refusal('ExpiredTokenException', 'The security token included in the request is expired');
  }
  const role = session.roleArn.split(':role/').at(-1)?.split('/').at(-1);
  const arn = `arn:aws:sts::${accountId}:assumed-role/${role}/${session.sessionName}`;
  return {
    principal: { kind: 'groupRole', arn, accessKeyId },
    secretAccessKey: session.secretAccessKey,
  };
}

function invalidToken() {
  return refusal('UnrecognizedClientException', 'The security token included in the request is invalid.');
}

function checkScope(signature: Signature, service: Service, region: string): void {
  if (!service.signingNames.includes(signature.service)) {
    throw refusal(
      'InvalidSignatureException',
      `Credential should be scoped to correct service: '${service.signingNames[0]}'.`,
    );
  }
  if (signature.region !== region) {
    throw refusal(
      'InvalidSignatureException',
      `Credential should be scoped to a valid region. This service is in '${region}', the request was signed for '${signature.region}'.`,
    );
  }
}

function readBody(
  readers: Map<number, RequestHandler>,
  { bodyLimitBytes, name }: Service,
  request: Request,
  response: Response,
): Promise<void> {
  // S3 keeps what it is given: the encoding is the object's. Signatures are over rawHeaders.
  if (name === 's3') delete request.headers['content-encoding'];
  let reader = readers.get(bodyLimitBytes);
  if (!reader) {
    reader = express.raw({ type: () => true, limit: bodyLimitBytes, inflate: false });
    readers.set(bodyLimitBytes, reader);
  }
  const read = reader;
  return new Promise((resolve, reject) => {
    const done: NextFunction = (error?: unknown) => (error ? reject(error) : resolve());
    read(request, response, done);
  });
}
