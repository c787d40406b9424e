/** Greengrass Core SDK for Node.js, with the API of Amazon's. Every operation answers a promise where no callback is given. */

/** Highest version of the core's interface that this SDK uses. */
export const GreengrassInterfaceVersion: '1.5';

/** `data` is null where there is an error. */
export type Callback<T> = (error: Error | null, data: T | null) => void;
/** Text, or bytes. */
export type Payload = string | Buffer | Uint8Array;

export interface InvokeParams {
  /** The function's ARN, with its version or with `Qualifier`. */
  FunctionName: string;
  /** `RequestResponse` (the default) waits for the result, `Event` does not. */
  InvocationType?: 'RequestResponse' | 'Event';
  /** Base64 of a JSON object; at most 16 KB. */
  ClientContext?: string;
  /** At most 6 MB. */
  Payload?: Payload;
  /** Version or alias. */
  Qualifier?: string;
}

export interface InvokeResult {
  /** Empty on success; `Handled` where the function failed, `Unhandled` where the core found the error (a timeout, say). */
  FunctionError: '' | 'Handled' | 'Unhandled';
  StatusCode: number;
  /** The result, or the error as JSON. Text where it is UTF-8, else bytes. */
  Payload: string | Buffer;
}

export class Lambda {
  /** Answers the invocation's id for an `Event`. */
  invoke(params: InvokeParams & { InvocationType: 'Event' }): Promise<string>;
  invoke(params: InvokeParams & { InvocationType: 'Event' }, callback: Callback<string>): void;
  invoke(params: InvokeParams & { InvocationType?: 'RequestResponse' }): Promise<InvokeResult>;
  invoke(
    params: InvokeParams & { InvocationType?: 'RequestResponse' },
    callback: Callback<InvokeResult>,
  ): void;
}

export interface PublishParams {
  /** Who gets the message is decided by the group's subscriptions. */
  topic: string;
  /** At most 128 KB. */
  payload: Payload;
  /** `AllOrError`: an error where one of the targets can't take the message. `BestEffort` is the default. */
  queueFullPolicy?: 'BestEffort' | 'AllOrError';
}

export interface ShadowParams {
  thingName: string;
}

export interface UpdateShadowParams extends ShadowParams {
  /** `{"state": {"desired": …, "reported": …}}` as JSON. */
  payload: Payload;
}

export class IotData {
  /** Answers the invocation's id. */
  publish(params: PublishParams): Promise<string>;
  publish(params: PublishParams, callback: Callback<string>): void;
  /** A refusal (`{"code", "message", "timestamp"}`) is a result like any other, as in Amazon's SDK. */
  getThingShadow(params: ShadowParams): Promise<InvokeResult>;
  getThingShadow(params: ShadowParams, callback: Callback<InvokeResult>): void;
  updateThingShadow(params: UpdateShadowParams): Promise<InvokeResult>;
  updateThingShadow(params: UpdateShadowParams, callback: Callback<InvokeResult>): void;
  deleteThingShadow(params: ShadowParams): Promise<InvokeResult>;
  deleteThingShadow(params: ShadowParams, callback: Callback<InvokeResult>): void;
}

export interface GetSecretValueParams {
  /** Name or ARN. */
  SecretId: string;
  /** A staging label; `AWSCURRENT` where there is none. */
  VersionStage?: string;
}

export interface Secret {
  ARN: string;
  Name: string;
  VersionId: string;
  SecretBinary: string | null;
  SecretString: string | null;
  VersionStages: string[];
  /** Milliseconds since 1970. */
  CreatedDate: number;
}

export class SecretsManager {
  /** Answers the secret as an object with `DeStringifyResultFlag`, else as JSON text. Fails where the core refuses. */
  getSecretValue(params: GetSecretValueParams & { DeStringifyResultFlag: true }): Promise<Secret>;
  getSecretValue(
    params: GetSecretValueParams & { DeStringifyResultFlag: true },
    callback: Callback<Secret>,
  ): void;
  getSecretValue(params: GetSecretValueParams): Promise<string>;
  getSecretValue(params: GetSecretValueParams, callback: Callback<string>): void;
}
