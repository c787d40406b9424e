/** Functions that bring their own runtime (AWS Lambda's `provided`): their names, and what their environment has more. */
import { parseFunctionArn } from '../../model/arn.js';
import type { DeployedFunction } from './deployed-function.js';

const CUSTOM_RUNTIME = /^provided(\.al2|\.al2023)?$/;

export function isCustomRuntime(runtime: string): boolean {
  return CUSTOM_RUNTIME.test(runtime);
}

/** What AWS Lambda promises to a `bootstrap`, and its client libraries insist on. `codeFolder` as the worker sees it. */
export function customRuntimeEnvironment(
  { arn, handler, memoryKb }: Pick<DeployedFunction, 'arn' | 'handler' | 'memoryKb'>,
  codeFolder: string,
  runtimeApi: string,
): Record<string, string> {
  const { name = '', qualifier = '$LATEST' } = parseFunctionArn(arn) ?? {};
  return {
    AWS_LAMBDA_RUNTIME_API: runtimeApi,
    _HANDLER: handler,
    LAMBDA_TASK_ROOT: codeFolder,
    LAMBDA_RUNTIME_DIR: codeFolder,
    AWS_LAMBDA_FUNCTION_NAME: name,
    AWS_LAMBDA_FUNCTION_VERSION: qualifier,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(Math.max(1, Math.round((memoryKb ?? 128 * 1024) / 1024))),
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${name}`,
    AWS_LAMBDA_LOG_STREAM_NAME: qualifier,
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    TZ: ':UTC',
  };
}
