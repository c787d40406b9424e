'use strict';
/**
 * The Node.js runtime of a worker: loads the handler, asks the core for work, calls the handler, posts what it gave.
 * `lambda_nodejs_runtime.js --handler=<module.function>`. Plain syntax: Node.js 6 must run it.
 */
const fs = require('fs');
const path = require('path');
const IPCClient = require('./node_modules/aws-greengrass-ipc-sdk-js');
const channel = require('./node_modules/aws-greengrass-ipc-sdk-js/channel');
const common = require('./node_modules/aws-greengrass-common-js');
const redirect = require('./redirect');

const logger = new common.logging.LocalWatchLogger();
const { AUTH_TOKEN, MY_FUNCTION_ARN, ENCODING_TYPE, GGC_MAX_INTERFACE_VERSION } = common.envVars;
const isBinary = ENCODING_TYPE === common.encodingType.encodingTypeBinary;

function checkEnvironment() {
  const required = {
    MY_FUNCTION_ARN,
    AWS_CONTAINER_AUTHORIZATION_TOKEN: AUTH_TOKEN,
    ENCODING_TYPE,
    GGC_MAX_INTERFACE_VERSION,
  };
  for (const name of Object.keys(required)) {
    if (!required[name]) throw new Error(`Environment variable ${name} is not set`);
  }
  if (!isBinary && ENCODING_TYPE !== common.encodingType.encodingTypeJSON) {
    throw new Error(`ENCODING_TYPE must be json or binary, but is ${ENCODING_TYPE}`);
  }
}

/** The function's own SDK may ask for a newer interface than this core has. */
function checkInterfaceVersion() {
  let wanted;
  try {
    wanted = require('aws-greengrass-core-sdk').GreengrassInterfaceVersion || '1.0';
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return;
    throw error;
  }
  const sdk = common.versionParser.parseVersion(wanted);
  const core = common.versionParser.parseVersion(GGC_MAX_INTERFACE_VERSION);
  if (sdk.major !== core.major || sdk.minor > core.minor) {
    throw new Error(
      `${MY_FUNCTION_ARN}: the SDK needs interface version ${wanted}, the core has ${GGC_MAX_INTERFACE_VERSION}`,
    );
  }
}

/** A worker that was started ahead of its work goes on with a line from the core; without the core it ends. */
function waitAtGate() {
  if (!process.env._GG_GATE) return;
  delete process.env._GG_GATE;
  if (fs.readSync(0, Buffer.alloc(1), 0, 1, null) === 0) process.exit(125);
}

function handlerArgument() {
  const argument = process.argv.find((text) => text.startsWith('--handler='));
  if (!argument) throw new Error('--handler=<module.function> is missing');
  return argument.slice('--handler='.length);
}

/** The text behind the last dot is the function, before it the module. */
function loadHandler(name) {
  const dot = name.lastIndexOf('.');
  if (dot <= 0) throw new Error('the handler must be named <module>.<function>');
  const file = path.join(process.cwd(), name.slice(0, dot));
  let loaded;
  try {
    loaded = require(file);
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND' || error.message.indexOf(file) === -1) throw error;
    loaded = require(name.slice(0, dot));
  }
  const handler = loaded[name.slice(dot + 1)];
  if (typeof handler !== 'function') throw new Error(`"${name}" is not a function`);
  return { owner: loaded, handler };
}

function clientContext(encoded) {
  const fields = encoded ? JSON.parse(Buffer.from(encoded, 'base64').toString('utf8')) : {};
  const custom = (fields && fields.custom) || {};
  // V1's Node.js functions read `Custom`; the lower-case name is there for everybody else.
  return {
    client: (fields && fields.client) || {},
    Custom: custom,
    custom,
    env: (fields && fields.env) || {},
  };
}

function createContext(invocationId, encodedContext) {
  const arn = new common.FunctionArnFields(MY_FUNCTION_ARN);
  const started = Date.now();
  return {
    invokedFunctionArn: MY_FUNCTION_ARN,
    awsRequestId: invocationId,
    functionName: arn.name,
    functionVersion: arn.qualifier,
    clientContext: clientContext(encodedContext),
    // The core measures the time; this is an estimate from the function's default of three seconds.
    getRemainingTimeInMillis: () => Math.max(0, 3000 - (Date.now() - started)),
  };
}

function eventOf(payload) {
  if (isBinary) return payload;
  return payload.length === 0 ? {} : JSON.parse(payload.toString('utf8'));
}

function resultBytes(result) {
  if (!isBinary) return JSON.stringify(result === undefined ? null : result);
  return result === undefined || result === null ? Buffer.alloc(0) : result;
}

/** The error's JSON as V1's runtime made it. */
function errorJson(error) {
  if (error instanceof Error) {
    const body = {
      errorMessage: error.message,
      stackTrace: String(error.stack || '')
        .split('\n')
        .slice(1)
        .map((line) => line.replace(/^ {4}at /, '')),
    };
    if (error.code) body.errorType = error.code;
    return JSON.stringify(body);
  }
  return JSON.stringify({ errorMessage: error === null || error === undefined ? null : String(error) });
}

class Runtime {
  constructor(loaded) {
    this.loaded = loaded;
    this.ipc = new IPCClient(AUTH_TOKEN);
    this.retry = new common.BackoffRetry();
    this.settle = null;
  }

  run() {
    // No callback and nothing left to do: the handler is done.
    process.on('beforeExit', () => this.settle && this.settle(null, undefined));
    this.next();
  }

  next() {
    this.retry.tryOrThrowError(
      (done) => this.ipc.getWork(MY_FUNCTION_ARN, done),
      (error, payload, invocationId, encodedContext) => {
        if (error) throw error;
        this.invoke(payload, invocationId, encodedContext);
      },
    );
  }

  invoke(payload, invocationId, encodedContext) {
    let isSettled = false;
    const settle = (error, result) => {
      if (isSettled) return;
      isSettled = true;
      this.settle = null;
      process.nextTick(() => this.post(invocationId, error, result));
    };
    this.settle = settle;
    logger.info(`START RequestId: ${invocationId}`);
    try {
      const event = eventOf(payload);
      const context = createContext(invocationId, encodedContext);
      const callback = (error, result) => settle(error === undefined ? null : error, result);
      const returned = this.loaded.handler.apply(this.loaded.owner, [event, context, callback]);
      // V1 ignored promises; as in AWS Lambda, the outcome of one counts here.
      if (returned && typeof returned.then === 'function') {
        returned.then(
          (result) => settle(null, result),
          (error) => settle(error || new Error('rejected')),
        );
      }
    } catch (error) {
      logger.error((error && error.stack) || String(error));
      settle(error instanceof Error ? error : new Error(`Failed to invoke handler: ${error}`));
    }
    logger.info(`End RequestId: ${invocationId}`);
  }

  post(invocationId, error, result) {
    let failure = error;
    let body;
    if (failure === null) {
      try {
        body = resultBytes(result);
      } catch (problem) {
        failure = problem;
      }
    }
    this.retry.tryOrThrowError(
      (done) =>
        failure === null
          ? this.ipc.postWorkResult(MY_FUNCTION_ARN, body, invocationId, done)
          : this.ipc.postHandlerErr(MY_FUNCTION_ARN, errorJson(failure), invocationId, done),
      (problem) => {
        if (problem) logger.error(`The result of ${invocationId} could not be posted: ${problem.message}`);
        this.next();
      },
    );
  }
}

process.on('SIGTERM', () => process.exit(0));
process.on('uncaughtException', (error) => {
  common.logging.writeRecord('FATAL', (error && error.stack) || String(error));
  process.exit(1);
});
process.on('unhandledRejection', (error) => logger.error((error && error.stack) || String(error)));

redirect.redirectConsole();
checkEnvironment();
channel.open();
waitAtGate();
let loaded;
try {
  checkInterfaceVersion();
  loaded = loadHandler(handlerArgument());
} catch (error) {
  common.logging.writeRecord(
    'FATAL',
    `Failed to import handler function "${process.argv[2]}" due to exception: ${error.stack}`,
  );
  process.exit(1);
}
new Runtime(loaded).run();
