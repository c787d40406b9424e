/** What functions can reach beside each other; the composing file connects these to router, shadow and secrets. */
export interface SystemServices {
  /**
   * A function publishes: through the subscription table, with the function's ARN as source.
   * `allOrError`: false is answered where any of the targets refused the message; true when it is durable wherever that
   * was asked for.
   */
  publish(
    functionArn: string,
    topic: string,
    payload: Buffer,
    allOrError: boolean,
  ): boolean | Promise<boolean>;
  /**
   * A shadow operation. Answers the body of accepted or rejected (`{code, message, timestamp}`); both are normal
   * results of the work item (V1's SDKs look into the body).
   */
  shadow(thingName: string, operation: 'get' | 'update' | 'delete', payload: Buffer): Promise<Buffer>;
  /** `{"SecretId", "VersionStage"?}` to the secret, or to `{"Status", "Message"}`. */
  secret(functionArn: string, request: Buffer): Promise<Buffer>;
}
