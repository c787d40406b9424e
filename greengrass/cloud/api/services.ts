/** The AWS services that answer on the one address: told apart by path, checked against the name in the signature. */
import type { ApiErrorType } from './errors.js';

export interface Service {
  readonly name: string;
  /** Names that a signature's scope may carry. */
  readonly signingNames: readonly string[];
  /** Largest request body in bytes. */
  readonly bodyLimitBytes: number;
  /** The type of "this request breaks a rule of form". */
  readonly badRequest: ApiErrorType;
  /** Body of an error. */
  renderError(type: string | undefined, message: string, requestId: string): string;
  readonly contentType: string;
}

const KB = 1024;
const MB = 1024 * KB;

function jsonService(
  fields: Pick<Service, 'name' | 'signingNames' | 'bodyLimitBytes' | 'badRequest'>,
  body: (message: string) => object,
): Service {
  return {
    ...fields,
    contentType: 'application/json',
    renderError: (_type, message) => JSON.stringify(body(message)),
  };
}

const GREENGRASS = jsonService(
  {
    name: 'greengrass',
    signingNames: ['greengrass'],
    bodyLimitBytes: 6 * MB,
    badRequest: 'BadRequestException',
  },
  (message) => ({ Message: message }),
);

/** Clients up to the end of 2022 (Debian's awscli among them) sign AWS IoT as execute-api. */
const IOT = jsonService(
  {
    name: 'iot',
    signingNames: ['iot', 'execute-api'],
    bodyLimitBytes: 256 * KB,
    badRequest: 'InvalidRequestException',
  },
  (message) => ({ message }),
);

const IOT_DATA = jsonService(
  {
    name: 'iotdata',
    signingNames: ['iotdata', 'iotdevicegateway'],
    bodyLimitBytes: 128 * KB,
    badRequest: 'InvalidRequestException',
  },
  (message) => ({ message }),
);

/** A zip of 50 MB grows by a third in base64. */
const LAMBDA = jsonService(
  {
    name: 'lambda',
    signingNames: ['lambda'],
    bodyLimitBytes: 70 * MB,
    badRequest: 'InvalidParameterValueException',
  },
  (message) => ({ Type: 'User', message, Message: message }),
);

const STS: Service = {
  name: 'sts',
  signingNames: ['sts'],
  bodyLimitBytes: 64 * KB,
  badRequest: 'InvalidAction',
  contentType: 'text/xml',
  renderError: (type, message, requestId) =>
    `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${escapeXml(
      type ?? 'InvalidRequest',
    )}</Code><Message>${escapeXml(message)}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
};

const SECRETS_MANAGER: Service = {
  name: 'secretsmanager',
  signingNames: ['secretsmanager'],
  bodyLimitBytes: 256 * KB,
  badRequest: 'InvalidParameterException',
  contentType: 'application/x-amz-json-1.1',
  renderError: (type, message) => JSON.stringify({ __type: type, Message: message, message }),
};

/** Objects of one piece; larger ones are copied into the folder. */
const S3: Service = {
  name: 's3',
  signingNames: ['s3'],
  bodyLimitBytes: 100 * MB,
  badRequest: 'InvalidRequest',
  contentType: 'application/xml',
  renderError: (type, message, requestId) =>
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${escapeXml(type ?? 'InvalidRequest')}</Code><Message>${escapeXml(
      message,
    )}</Message><RequestId>${requestId}</RequestId></Error>`,
};

/** S3 has all paths: only its signature, in the head or the address, tells its requests from those of others. */
export function isForS3(request: { readonly url: string; get(header: string): string | undefined }): boolean {
  const header = request.get('authorization');
  if (header !== undefined) return /^AWS4-HMAC-SHA256 .*Credential=[^,\s]+\/s3\/aws4_request/.test(header);
  return /[?&]X-Amz-Credential=[^&]+(\/|%2F)s3(\/|%2F)aws4_request(&|$)/i.test(request.url);
}

const SHADOW_PATH = /^(\/things\/[^/]+\/shadow|\/api\/things\/shadow\/ListNamedShadowsForThing\/[^/]+)\/?$/;

/**
 * The service that a request is for: told by its path, and where several have the same by X-Amz-Target. AWS IoT keeps its
 * paths at the top, so what is nobody else's is AWS IoT's.
 */
export function serviceOf(request: {
  readonly path: string;
  readonly url: string;
  get(header: string): string | undefined;
}): Service {
  const { path } = request;
  if (isForS3(request)) return S3;
  if (path.startsWith('/greengrass/') || path.startsWith('/tags/')) return GREENGRASS;
  // Lambda's paths begin with the day of a version of its API; the operations that are served have 2015-03-31.
  if (/^\/20\d\d-\d\d-\d\d\//.test(path) || path.startsWith('/lambda-code/')) return LAMBDA;
  if (/^\/(topics|retainedMessage)(\/|$)/.test(path) || SHADOW_PATH.test(path)) return IOT_DATA;
  if (path === '/' || path === '') {
    return request.get('x-amz-target')?.startsWith('secretsmanager.') ? SECRETS_MANAGER : STS;
  }
  return IOT;
}

export function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
