/** Messages and shadows. */
const common = require('aws-greengrass-common-js');
const call = require('./call');
const Lambda = require('./lambda');

const POLICIES = ['BestEffort', 'AllOrError'];

class IotData {
  constructor() {
    this.lambda = new Lambda();
  }

  publish(params, callback) {
    return call.run(
      callback,
      call.guarded((done) => {
        const subject = call.required(params, 'topic');
        const payload = call.required(params, 'payload');
        const queueFullPolicy = params.queueFullPolicy || '';
        if (queueFullPolicy !== '' && POLICIES.indexOf(queueFullPolicy) < 0) {
          throw new Error(`queueFullPolicy "${queueFullPolicy}" is not supported`);
        }
        const custom = { source: common.envVars.MY_FUNCTION_ARN, subject, queueFullPolicy };
        this.lambda.send(
          common.envVars.ROUTER_FUNCTION_ARN,
          'Event',
          call.encodeContext({ custom }),
          payload,
          done,
        );
      }),
    );
  }

  getThingShadow(params, callback) {
    return this.shadow('get', params, callback);
  }

  updateThingShadow(params, callback) {
    return this.shadow('update', params, callback);
  }

  deleteThingShadow(params, callback) {
    return this.shadow('delete', params, callback);
  }

  shadow(operation, params, callback) {
    return call.run(
      callback,
      call.guarded((done) => {
        const thing = call.required(params, 'thingName');
        const payload = operation === 'update' ? call.required(params, 'payload') : '';
        const context = call.encodeContext({
          custom: { subject: `$aws/things/${thing}/shadow/${operation}` },
        });
        this.lambda.send(common.envVars.SHADOW_FUNCTION_ARN, 'RequestResponse', context, payload, done);
      }),
    );
  }
}

module.exports = IotData;
