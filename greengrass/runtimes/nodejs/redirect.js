'use strict';
/** `console` and standard error to the function's log. */
const common = require('./node_modules/aws-greengrass-common-js');

function redirectConsole(logger) {
  console.debug = logger.debug.bind(logger);
  console.log = logger.info.bind(logger);
  console.info = logger.info.bind(logger);
  console.warn = logger.warn.bind(logger);
  console.error = logger.error.bind(logger);
  process.stderr.write = (chunk, encoding, callback) => {
    common.logging.writeRecord('ERROR', chunk);
    const done = typeof encoding === 'function' ? encoding : callback;
    if (done) process.nextTick(done);
    return true;
  };
}

module.exports = { redirectConsole };
