/**
 * Who is calling? First the head of the request is looked at (known key, right time, region and service), then the
 * body is read up to the service's limit, then the signature over both is verified: nobody without a key can make the
 * server read a large body.
 */
import express, { type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { type Service, serviceOf } from './services.js';
import { readSignature, type Signature, verifySignature } from './sigv4.js';

/** Reads the body into `request.body` and lets the request pass if its signature is good. */
export function authenticator(context: ApiContext): RequestHandler {
  const readers = new Map<number, RequestHandler>();
  return async (request, response, next) => {
    const service = serviceOf(request.path);
    if (context.auth === 'none') {
      refuseForeignPages(request);
      await readBody(readers, service, request, response);
      next();
      return;
    }
    const signed = { method: request.method, url: request.originalUrl, rawHeaders: request.rawHeaders };
    const signature = readSignature(signed, new Date());
    const secret = await secretOf(context, signature.accessKeyId);
    checkScope(signature, service, context.region);
    await readBody(readers, service, request, response);
    const body: unknown = request.body;
    verifySignature(signed, Buffer.isBuffer(body) ? body : Buffer.alloc(0), signature, secret);
    next();
  };
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

async function secretOf({ store }: ApiContext, accessKeyId: string): Promise<string> {
  const key = (await store.settings.accessKeys()).find((one) => one.accessKeyId === accessKeyId);
  if (key) return key.secretAccessKey;
  throw refusal('UnrecognizedClientException', 'The security token included in the request is invalid.');
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
  { bodyLimitBytes }: Service,
  request: Request,
  response: Response,
): Promise<void> {
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
