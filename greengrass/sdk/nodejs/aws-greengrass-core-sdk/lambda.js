/** Invokes other functions of the group. */
const common = require('aws-greengrass-common-js');
const IPCClient = require('aws-greengrass-ipc-sdk-js');
const call = require('./call');

const BASE64 = /^(?:[0-9a-zA-Z+/]{4})*(?:[0-9a-zA-Z+/]{2}==|[0-9a-zA-Z+/]{3}=)?$/;
const QUALIFIER = /^[a-zA-Z0-9$_-]*$/;

class Lambda {
  constructor() {
    this.ipc = new IPCClient(common.envVars.AUTH_TOKEN);
  }

  invoke(params, callback) {
    return call.run(
      callback,
      call.guarded((done) => {
        const type = (params && params.InvocationType) || 'RequestResponse';
        const arn = qualifiedArn(call.required(params, 'FunctionName'), params.Qualifier);
        if (type !== 'Event' && type !== 'RequestResponse') {
          throw new Error(`InvocationType '${type}' is incorrect, should be 'Event' or 'RequestResponse'`);
        }
        const context = params.ClientContext || '';
        if (!BASE64.test(context)) throw new Error('Client Context is invalid: it must be base64');
        this.send(arn, type, context, params.Payload, done);
      }),
    );
  }

  /** For the other services: system functions have ARNs of their own form. */
  send(arn, type, context, payload, done) {
    this.ipc.postWork(arn, payload, context, type, (error, invocationId) => {
      if (error || type === 'Event') {
        done(error, invocationId);
        return;
      }
      this.ipc.getWorkResult(arn, invocationId, (failure, body, functionError, status) =>
        done(failure, { FunctionError: functionError, StatusCode: status, Payload: body }),
      );
    });
  }
}

function qualifiedArn(name, qualifier) {
  let fields;
  try {
    fields = new common.FunctionArnFields(name);
  } catch (error) {
    throw new Error(`FunctionName is malformed: ${error}`);
  }
  if (qualifier && !QUALIFIER.test(qualifier)) throw new Error(`Qualifier '${qualifier}' is incorrect`);
  if (fields.qualifier && qualifier && fields.qualifier !== qualifier) {
    throw new Error(`Qualifier '${qualifier}' does not match the version in FunctionName`);
  }
  return common.buildFunctionArn(fields.unqualifiedArn, fields.qualifier || qualifier);
}

module.exports = Lambda;
