/** Our Core SDK for Python, and Amazon's where GREENGRASSSDK_DIR names a folder that holds its `greengrasssdk`. */
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { describeAsRoot } from '../support/as-root.js';
import { describeSdk, type SdkLanguage } from './suite.js';

const MAIN = `
import base64, json, logging
import greengrasssdk
iot = greengrasssdk.client('iot-data')
lam = greengrasssdk.client('lambda')
secrets = greengrasssdk.client('secretsmanager')
logger = logging.getLogger('mine')

def read(answer):
    payload = answer['Payload']
    return payload if isinstance(payload, bytes) else payload.read()

def act(event, context):
    do = event.get('do')
    if do == 'context':
        return {'event': event, 'arn': context.invoked_function_arn, 'name': context.function_name,
                'version': context.function_version, 'requestId': context.aws_request_id,
                'subject': context.client_context.custom['subject']}
    if do == 'publish':
        iot.publish(topic=event['topic'], payload=event['payload'])
        return {}
    if do == 'publishAll':
        iot.publish(topic=event['topic'], payload=event['payload'], queueFullPolicy='AllOrException')
        return {}
    if do == 'updateShadow':
        return {'result': json.loads(iot.update_thing_shadow(thingName=event['thing'], payload=event['payload'])['payload'])}
    if do == 'getShadow':
        return {'result': json.loads(iot.get_thing_shadow(thingName=event['thing'])['payload'])}
    if do == 'deleteShadow':
        return {'result': json.loads(iot.delete_thing_shadow(thingName=event['thing'])['payload'])}
    if do in ('invoke', 'invokeEvent'):
        kwargs = {'FunctionName': event['target'], 'Payload': event['payload']}
        if 'custom' in event:
            kwargs['ClientContext'] = base64.b64encode(json.dumps({'custom': event['custom']}).encode())
        kwargs['InvocationType'] = 'Event' if do == 'invokeEvent' else 'RequestResponse'
        answer = lam.invoke(**kwargs)
        body = read(answer)
        return {'result': json.loads(body) if body else None, 'functionError': answer['FunctionError']}
    if do == 'invokeBytes':
        answer = lam.invoke(FunctionName=event['target'], Payload=base64.b64decode(event['base64']))
        return {'base64': base64.b64encode(read(answer)).decode()}
    if do == 'secret':
        secret = secrets.get_secret_value(SecretId=event['id'])
        return {'result': {'SecretString': secret['SecretString'], 'year': secret['CreatedDate'].year}}
    if do == 'log':
        print(event['text'])
        logger.warning(event['text'])
        logger.error(event['text'])
        return {}

def handler(event, context):
    if event.get('do') == 'return':
        return event['value']
    if event.get('do') == 'returnCustom':
        return context.client_context.custom
    if event.get('do') == 'fail':
        raise ValueError(event['text'])
    if 'token' not in event:
        return act(event, context)
    try:
        answer = act(event, context)
    except Exception as error:
        answer = {'error': '{}: {}'.format(type(error).__name__, error)}
    answer['token'] = event['token']
    iot.publish(topic='out', payload=json.dumps(answer))

def binary_handler(event, context):
    return event[::-1]
`;

function python(name: string, sdkFolder: string, runtime = 'python3.11'): SdkLanguage {
  return {
    name,
    runtime,
    handler: 'main.handler',
    binaryHandler: 'main.binary_handler',
    files: { 'main.py': MAIN },
    install: (codeFolder) =>
      cpSync(join(sdkFolder, 'greengrasssdk'), join(codeFolder, 'greengrasssdk'), { recursive: true }),
    shadowErrors: 'raised',
  };
}

const OURS = join(PACKAGE_ROOT, 'greengrass/sdk/python');
describeSdk(python('our Core SDK for Python', OURS), describeAsRoot);
describeSdk({ ...python('our Core SDK for Python, over HTTP', OURS), withoutFrames: true }, describeAsRoot);

const amazons = process.env.GREENGRASSSDK_DIR ?? '';
const isThere = existsSync(join(amazons, 'greengrasssdk'));
if (!isThere)
  console.warn(
    "skipped: Amazon's Core SDK for Python (set GREENGRASSSDK_DIR to a folder that holds greengrasssdk)",
  );
describeSdk(python("Amazon's Core SDK for Python", amazons), isThere ? describeAsRoot : describe.skip);

const hasPython2 = ['/usr/bin/python2.7', '/usr/local/bin/python2.7'].some((path) => existsSync(path));
if (!hasPython2)
  console.warn('skipped: Python 2.7 (Debian has none any more; install it as /usr/local/bin/python2.7)');
describeSdk(
  python('our Core SDK on Python 2.7', OURS, 'python2.7'),
  hasPython2 ? describeAsRoot : describe.skip,
);
