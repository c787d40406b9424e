/** AWS IoT's endpoints and its data plane over HTTP: shadows of things, publications. */
import { isReserved, parseShadowTopic, shadowKey, topicProblem } from '../../model/topic.js';
import type { ApiContext, ShadowAnswer } from './context.js';
import { ApiError, type ApiErrorType, refusal } from './errors.js';
import { nextPage, thingNameOf } from './iot-names.js';
import { type Call, type Operation, Reply } from './operation.js';
import { NAMED_SHADOW_PAGES, page } from './paging.js';

/** Port that AWS IoT's clients take for MQTT where nobody tells them another. */
const DEFAULT_MQTT_PORT = 8883;

const ENDPOINT_TYPES = ['iot:Data-ATS', 'iot:Data'];

export function dataOperations(context: ApiContext): Operation[] {
  const { shadows } = context;
  const shadow = '/things/:thingName/shadow';
  return [
    { name: 'DescribeEndpoint', method: 'GET', path: '/endpoint', handle: (call) => endpoint(context, call) },
    {
      name: 'GetThingShadow',
      method: 'GET',
      path: shadow,
      isForGroupRoles: true,
      handle: async (call) => reply(await shadows.get(keyOf(call))),
    },
    {
      name: 'UpdateThingShadow',
      method: 'POST',
      path: shadow,
      isForGroupRoles: true,
      handle: async (call) => reply(await shadows.update(keyOf(call), call.body)),
    },
    {
      name: 'DeleteThingShadow',
      method: 'DELETE',
      path: shadow,
      isForGroupRoles: true,
      handle: async (call) => reply(await shadows.delete(keyOf(call))),
    },
    {
      name: 'ListNamedShadowsForThing',
      method: 'GET',
      path: '/api/things/shadow/ListNamedShadowsForThing/:thingName',
      isForGroupRoles: true,
      handle: (call) => namedShadows(context, call),
    },
    {
      name: 'Publish',
      method: 'POST',
      path: '/topics/*topic',
      isForGroupRoles: true,
      handle: (call) => publish(context, call),
    },
  ];
}

/** A publication on the topic of a shadow's request is that request; all else that begins with `$` is reserved. */
async function publish({ shadows, messages }: ApiContext, call: Call): Promise<object> {
  const topic = call.param('topic');
  const qos = qosOf(call);
  const problem = topicProblem(topic);
  if (problem) throw refusal('InvalidRequestException', `Invalid topic "${topic}": ${problem}`);
  const request = parseShadowTopic(topic);
  if (request && request.kind === undefined) {
    refuseDeployments(call, request.thingName);
    await shadows[request.operation](request.key, call.body);
  } else if (isReserved(topic)) {
    throw refusal(
      'InvalidRequestException',
      `Invalid topic "${topic}": topics that begin with $ are reserved`,
    );
  } else {
    await messages.publish(topic, call.body, qos, call.queryFlag('retain') === true);
  }
  return {};
}

/**
 * AWS answers a host name, and its clients know the port. Our ports are free, so the port comes along wherever MQTT is
 * not on 8883. The host is the one that the caller reached this API by.
 */
async function endpoint({ messages }: ApiContext, call: Call): Promise<object> {
  const type = call.query('endpointType') ?? 'iot:Data';
  if (!ENDPOINT_TYPES.includes(type)) {
    throw refusal(
      'InvalidRequestException',
      `Endpoint type ${type} is not supported. Use one of ${ENDPOINT_TYPES.join(', ')}.`,
    );
  }
  const { name } = call.host;
  return { endpointAddress: messages.port === DEFAULT_MQTT_PORT ? name : `${name}:${messages.port}` };
}

async function namedShadows({ store }: ApiContext, call: Call): Promise<object> {
  const thingName = thingNameOf(call);
  const { items, next } = await page(call, {
    scope: `shadows/${thingName}`,
    names: NAMED_SHADOW_PAGES,
    fetch: (limit, after) => store.shadows.listNames(thingName, limit, after),
    keyOf: (name) => name,
  });
  return { results: items, timestamp: Math.floor(Date.now() / 1000), ...nextPage('nextToken', next) };
}

/** The shadow that the request names: the thing's own, or one of its named ones. */
function keyOf(call: Call): string {
  const thingName = thingNameOf(call);
  refuseDeployments(call, thingName);
  const name = call.query('name');
  if (name === undefined || /^[a-zA-Z0-9:_-]{1,64}$/.test(name)) return shadowKey(thingName, name);
  throw refusal('InvalidRequestException', `Shadow name "${name}" is invalid`);
}

/** A function must not deploy: notices and reports of deployments are no business of a group's role. */
function refuseDeployments({ principal }: Call, thingName: string): void {
  if (principal.kind !== 'groupRole' || !/-(gda|gcf|gcm)$/.test(thingName)) return;
  throw refusal('AccessDeniedException', `User: ${principal.arn} may not use the shadow of ${thingName}`);
}

function qosOf(call: Call): 0 | 1 {
  const qos = call.query('qos') ?? '0';
  if (qos === '0' || qos === '1') return qos === '1' ? 1 : 0;
  throw refusal('InvalidRequestException', `qos must be 0 or 1, not "${qos}"`);
}

const SHADOW_ERRORS: Readonly<Record<number, ApiErrorType>> = {
  400: 'InvalidRequestException',
  401: 'UnauthorizedException',
  404: 'ResourceNotFoundException',
  409: 'ConflictException',
  413: 'RequestEntityTooLargeException',
  415: 'UnsupportedDocumentEncodingException',
  422: 'UnsupportedDocumentEncodingException',
  429: 'ThrottlingException',
};

function reply({ accepted, body, code }: ShadowAnswer): Reply {
  if (accepted) return new Reply('application/json', body);
  const { message } = JSON.parse(body.toString('utf8')) as { message?: string };
  throw new ApiError(code, SHADOW_ERRORS[code] ?? 'InvalidRequestException', message ?? 'The shadow refused');
}
