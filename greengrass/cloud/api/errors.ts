/**
 * The API's error table: every type that a caller can be refused with, and its HTTP status. Greengrass, AWS IoT, Lambda
 * and the signature check share it; a type means the same everywhere.
 */
const API_ERRORS = {
  // the signature
  MissingAuthenticationTokenException: 403,
  UnrecognizedClientException: 403,
  InvalidSignatureException: 403,
  IncompleteSignatureException: 403,
  AccessDeniedException: 403,
  ExpiredTokenException: 403,
  // any service
  UnknownOperationException: 404,
  RequestEntityTooLargeException: 413,
  UnsupportedMediaTypeException: 415,
  InternalFailure: 500,
  // Greengrass
  BadRequestException: 400,
  IdNotFoundException: 404,
  VersionNotFoundException: 404,
  ResourceNotFoundException: 404,
  InvalidContainerDefinitionException: 400,
  InvalidInputException: 400,
  MissingCoreException: 400,
  ConcurrentDeployment: 400,
  // AWS IoT
  InvalidRequestException: 400,
  MalformedPolicyException: 400,
  VersionsLimitExceededException: 409,
  CertificateValidationException: 400,
  ResourceAlreadyExistsException: 409,
  DeleteConflictException: 409,
  CertificateStateException: 406,
  VersionConflictException: 409,
  InvalidStateTransitionException: 409,
  UnauthorizedException: 401,
  ConflictException: 409,
  UnsupportedDocumentEncodingException: 415,
  ThrottlingException: 429,
  // Lambda
  InvalidParameterValueException: 400,
  ResourceConflictException: 409,
  PreconditionFailedException: 412,
  // Secrets Manager
  InvalidParameterException: 400,
  ResourceExistsException: 400,
  // S3
  NoSuchKey: 404,
  NoSuchBucket: 404,
  NoSuchUpload: 404,
  BucketNotEmpty: 409,
  BadDigest: 400,
  IncompleteBody: 400,
  InvalidPart: 400,
  InvalidPartOrder: 400,
  InvalidRange: 416,
  PreconditionFailed: 412,
  InvalidRequest: 400,
  NotImplemented: 501,
  // STS
  InvalidAction: 400,
} as const satisfies Record<string, number>;

export type ApiErrorType = keyof typeof API_ERRORS;

/** A refused request: the caller's fault. `type` is absent where V1's service sent none. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  constructor(
    readonly status: number,
    readonly type: string | undefined,
    message: string,
  ) {
    super(message);
  }
}

/** An error of the table. */
export function refusal(type: ApiErrorType, message: string): ApiError {
  return new ApiError(API_ERRORS[type], type, message);
}

/** An error without a type, as V1's service answered in some places: clients then take the status for the code. */
export function untypedRefusal(status: number, message: string): ApiError {
  return new ApiError(status, undefined, message);
}
