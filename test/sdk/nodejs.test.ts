/** Amazon's Core SDK for Node.js, unmodified, from npm; and ours, on which the same function runs. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { describeAsRoot } from '../support/as-root.js';
import { startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';
import { describeSdk } from './suite.js';

const OURS = 'greengrass/sdk/nodejs/aws-greengrass-core-sdk';

const MAIN = `
'use strict';
const gg = require('aws-greengrass-core-sdk');
const iot = new gg.IotData();
const lambda = new gg.Lambda();
const secrets = new gg.SecretsManager();

const parse = (payload) => (payload && payload.length ? JSON.parse(payload) : null);

function act(event, context, done) {
  const shadow = (error, data) => done(error, data && { result: parse(data.Payload) });
  switch (event.do) {
    case 'context':
      return done(null, {
        event, arn: context.invokedFunctionArn, name: context.functionName, version: context.functionVersion,
        requestId: context.awsRequestId, subject: context.clientContext.Custom.subject,
      });
    case 'publish':
      return iot.publish({ topic: event.topic, payload: event.payload }, (error) => done(error, {}));
    case 'publishAll':
      return iot.publish({ topic: event.topic, payload: event.payload, queueFullPolicy: 'AllOrError' }, (error) => done(error, {}));
    case 'updateShadow':
      return iot.updateThingShadow({ thingName: event.thing, payload: event.payload }, shadow);
    case 'getShadow':
      return iot.getThingShadow({ thingName: event.thing }, shadow);
    case 'deleteShadow':
      return iot.deleteThingShadow({ thingName: event.thing }, shadow);
    case 'invoke':
    case 'invokeEvent': {
      const params = {
        FunctionName: event.target, Payload: event.payload,
        InvocationType: event.do === 'invoke' ? 'RequestResponse' : 'Event',
      };
      if (event.custom) params.ClientContext = Buffer.from(JSON.stringify({ custom: event.custom })).toString('base64');
      return lambda.invoke(params, (error, data) =>
        done(error, event.do === 'invoke' && data ? { result: parse(data.Payload), functionError: data.FunctionError } : {}));
    }
    case 'invokeBytes':
      return lambda.invoke(
        { FunctionName: event.target, Payload: Buffer.from(event.base64, 'base64'), InvocationType: 'RequestResponse' },
        (error, data) => done(error, data && { base64: Buffer.from(data.Payload).toString('base64') }),
      );
    case 'secret':
      return secrets.getSecretValue({ SecretId: event.id }, (error, data) => done(error, data && { result: JSON.parse(data) }));
    case 'log':
      console.log(event.text);
      console.warn(event.text);
      console.error(event.text);
      return done(null, {});
    default:
      return done(null, {});
  }
}

exports.handler = (event, context, callback) => {
  if (event.do === 'return') return callback(null, event.value);
  if (event.do === 'returnCustom') return callback(null, context.clientContext.Custom);
  if (event.do === 'fail') return callback(new Error(event.text));
  return act(event, context, (error, answer) => {
    if (!event.token) return callback(error, answer);
    const body = Object.assign({ token: event.token }, error ? { error: String(error) } : answer);
    return iot.publish({ topic: 'out', payload: JSON.stringify(body) }, callback);
  });
};

exports.binaryHandler = (event, context, callback) => callback(null, Buffer.from(event).reverse());
`;

const NODEJS = {
  runtime: 'nodejs12.x',
  handler: 'index.handler',
  binaryHandler: 'index.binaryHandler',
  files: { 'index.js': MAIN },
  shadowErrors: 'returned',
} as const;

describeSdk(
  {
    ...NODEJS,
    name: "Amazon's Core SDK for Node.js",
    install: (codeFolder) => {
      for (const name of ['aws-greengrass-core-sdk', 'cbor', 'nofilter', 'bignumber.js']) {
        install(codeFolder, join('node_modules', name), name);
      }
    },
  },
  describeAsRoot,
);

describeSdk(
  {
    ...NODEJS,
    name: 'our Core SDK for Node.js',
    install: (codeFolder) => install(codeFolder, OURS, 'aws-greengrass-core-sdk'),
  },
  describeAsRoot,
);

describeSdk(
  {
    ...NODEJS,
    name: 'our Core SDK for Node.js, over HTTP',
    install: (codeFolder) => install(codeFolder, OURS, 'aws-greengrass-core-sdk'),
    withoutFrames: true,
  },
  describeAsRoot,
);

function install(codeFolder: string, source: string, name: string): void {
  const target = join(codeFolder, 'node_modules', name);
  mkdirSync(target, { recursive: true });
  cpSync(join(PACKAGE_ROOT, source), target, { recursive: true });
}

/** What only ours has: promises, and errors by the same road for what is wrong with the parameters. */
const PROMISES = `
const gg = require('aws-greengrass-core-sdk');
const iot = new gg.IotData();
const lambda = new gg.Lambda();
const secrets = new gg.SecretsManager();
const failure = (operation) => operation.then(() => 'no failure', (error) => error.message);
exports.handler = async (event) => {
  const shadow = await iot.updateThingShadow({ thingName: 'lamp', payload: '{"state":{"reported":{"on":true}}}' });
  const secret = await secrets.getSecretValue({ SecretId: 'known', DeStringifyResultFlag: true });
  const body = {
    version: JSON.parse(shadow.Payload).version,
    secret: secret.SecretString,
    failures: await Promise.all([
      failure(iot.publish({ payload: 'x' })),
      failure(iot.publish({ topic: 'a', payload: 'x', queueFullPolicy: 'Maybe' })),
      failure(lambda.invoke({ FunctionName: 'nonsense' })),
      failure(lambda.invoke({ FunctionName: event.arn, Qualifier: '7' })),
      failure(lambda.invoke({ FunctionName: event.arn, ClientContext: '{}' })),
      failure(lambda.invoke({ FunctionName: event.arn, InvocationType: 'Maybe' })),
      failure(secrets.getSecretValue({ SecretId: 'unknown' })),
    ]),
  };
  await iot.publish({ topic: 'out', payload: JSON.stringify(body) });
};
`;

/** Never called: compiled, so that the types fit what functions write. */
export async function typed({
  IotData,
  Lambda,
  SecretsManager,
}: typeof import('../../greengrass/sdk/nodejs/aws-greengrass-core-sdk/index.js')): Promise<string> {
  new IotData().publish({ topic: 'a', payload: Buffer.of(1) }, (error) => error?.message);
  const id: string = await new Lambda().invoke({ FunctionName: 'f', InvocationType: 'Event' });
  const { FunctionError } = await new Lambda().invoke({ FunctionName: 'f' });
  // @ts-expect-error: a topic is required
  await new IotData().publish({ payload: 'x' });
  const secret = await new SecretsManager().getSecretValue({ SecretId: 's', DeStringifyResultFlag: true });
  return `${id}${FunctionError}${secret.SecretString}`;
}

describeAsRoot('our Core SDK for Node.js', () => {
  it('answers promises, and rejects them with what is wrong', async () => {
    const bench = await startFunctions();
    try {
      const f = bench.define(
        'f',
        { 'index.js': PROMISES },
        { runtime: 'nodejs20.x', handler: 'index.handler' },
      );
      install(f.codeFolder, OURS, 'aws-greengrass-core-sdk');
      await bench.deploy(f);
      bench.deliver(f, 't', JSON.stringify({ arn: f.arn }));
      const { payload } = await waitFor(() => bench.published[0]);
      expect(JSON.parse(payload.toString())).toEqual({
        version: 1,
        secret: 'hush',
        failures: [
          expect.stringMatching(/"topic" is a required parameter/),
          expect.stringMatching(/queueFullPolicy "Maybe" is not supported/),
          expect.stringMatching(/FunctionName is malformed/),
          expect.stringMatching(/Qualifier '7' does not match/),
          expect.stringMatching(/Client Context is invalid/),
          expect.stringMatching(/InvocationType 'Maybe' is incorrect/),
          expect.stringMatching(/no such secret/),
        ],
      });
    } finally {
      await bench.close();
    }
  });
});
