'use strict';
/** `console` and standard error to the function's log. */
const util = require('util');
const common = require('./node_modules/aws-greengrass-common-js');

/** The function's own lines are written at once: it may never come back from where it goes. */
function redirectConsole() {
  const levels = { debug: 'DEBUG', log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR' };
  for (const name of Object.keys(levels)) {
    console[name] = function print() {
      common.logging.writeRecord(levels[name], util.format.apply(util, arguments));
    };
  }
  process.stderr.write = (chunk, encoding, callback) => {
    common.logging.writeRecord('ERROR', chunk);
    const done = typeof encoding === 'function' ? encoding : callback;
    if (done) process.nextTick(done);
    return true;
  };
}

module.exports = { redirectConsole };
