'use strict';
/** `console` and standard error to the function's log. */
const util = require('util');
const common = require('./node_modules/aws-greengrass-common-js');

/** What Amazon's Core SDK says of each call before it makes it: no line of the function's own. */
const NOTE =
  /^(?:Publishing message on topic "|Calling shadow service on topic "|Getting secret value from secrets manager: )/;

/** The function's own lines are written at once: it may never come back from where it goes. */
function redirectConsole() {
  const levels = { debug: 'DEBUG', log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR' };
  for (const name of Object.keys(levels)) {
    console[name] = function print() {
      const text = util.format.apply(util, arguments);
      if (name === 'log' && NOTE.test(text)) common.logging.postpone('INFO', text);
      else common.logging.writeRecord(levels[name], text);
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
