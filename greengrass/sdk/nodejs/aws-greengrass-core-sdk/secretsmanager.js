/** Secrets of the group. */
const common = require('aws-greengrass-common-js');
const call = require('./call');
const Lambda = require('./lambda');

class SecretsManager {
  constructor() {
    this.lambda = new Lambda();
  }

  getSecretValue(params, callback) {
    return call.run(
      callback,
      call.guarded((done) => {
        const request = { SecretId: call.required(params, 'SecretId') };
        if (params.VersionId !== undefined) throw new Error('Query by VersionId is not yet supported');
        if (params.VersionStage !== undefined) request.VersionStage = params.VersionStage;
        const arn = common.envVars.SECRETS_MANAGER_FUNCTION_ARN;
        this.lambda.send(arn, 'RequestResponse', '', JSON.stringify(request), (error, data) => {
          if (error) done(error);
          else secretOf(data, params.DeStringifyResultFlag, done);
        });
      }),
    );
  }
}

function secretOf(data, isParsed, done) {
  const text = String(data.Payload);
  let secret;
  try {
    secret = JSON.parse(text);
  } catch (_error) {
    done(new Error('the answer of the secret manager is no JSON'));
    return;
  }
  // Nothing of a secret goes into an error.
  if (data.FunctionError || !secret || secret.ARN === undefined) done(new Error(JSON.stringify(text)));
  else done(null, isParsed ? secret : text);
}

module.exports = SecretsManager;
