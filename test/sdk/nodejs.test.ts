/** Amazon's Core SDK for Node.js, unmodified, from npm. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { describeAsRoot } from '../support/as-root.js';
import { describeSdk } from './suite.js';

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

describeSdk(
  {
    name: "Amazon's Core SDK for Node.js",
    runtime: 'nodejs12.x',
    handler: 'index.handler',
    binaryHandler: 'index.binaryHandler',
    files: { 'index.js': MAIN },
    install: (codeFolder) => {
      for (const name of ['aws-greengrass-core-sdk', 'cbor', 'nofilter', 'bignumber.js']) {
        const target = join(codeFolder, 'node_modules', name);
        mkdirSync(target, { recursive: true });
        cpSync(join(PACKAGE_ROOT, 'node_modules', name), target, { recursive: true });
      }
    },
    shadowErrors: 'returned',
  },
  describeAsRoot,
);
