/** A function that invokes another as V1's SDK does, so that tests see what an invoker sees. */
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import type { FunctionBench } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

export const CALLER = `
import base64, json
from greengrass_common.env_vars import ROUTER_FUNCTION_ARN
from greengrass_ipc_python_sdk.ipc_client import IPCClient, IPCException
ipc = IPCClient()
def encoded(value):
    return base64.b64encode(json.dumps(value).encode())
def handler(event, context):
    payload = json.dumps(event['payload']).encode()
    if 'bytes' in event:
        payload = b'"' + b'x' * (event['bytes'] - 2) + b'"'
    try:
        id = ipc.post_work(event['target'], payload, encoded({'custom': event.get('custom', {})}))
        result = ipc.get_work_result(event['target'], id)
        answer = {'error': result.func_err, 'payload': result.payload.decode()}
    except IPCException as error:
        answer = {'error': str(error), 'payload': ''}
    ipc.post_work(ROUTER_FUNCTION_ARN, json.dumps(answer).encode(), encoded({'custom': {'subject': 'out'}}), 'Event')
`;

export interface Invocation {
  /** Empty, `Handled`, `Unhandled`, or why there was no invocation. */
  readonly error: string;
  readonly payload: string;
}

/** `more`: `custom` for the client context, `bytes` for a payload of that size. */
export async function invoke(
  bench: FunctionBench,
  caller: DeployedFunction,
  target: DeployedFunction,
  payload: unknown,
  more: object = {},
): Promise<Invocation> {
  const before = bench.published.length;
  bench.deliver(caller, 't', JSON.stringify({ target: target.arn, payload, ...more }));
  const { payload: text } = await waitFor(() => bench.published[before], {
    timeoutMs: 30_000,
    what: `an answer of ${target.arn}; log: ${JSON.stringify(bench.entries.slice(-3)).slice(0, 2000)}`,
  });
  return JSON.parse(text.toString('utf8')) as Invocation;
}
