/**
 * Greengrass Core SDK for Node.js, with the API of Amazon's: functions written on theirs run on this one unchanged.
 *
 *   const gg = require('aws-greengrass-core-sdk');
 *   new gg.IotData().publish({ topic: 'hello/world', payload: 'Hello' }, (error) => {});
 *
 * Every operation answers a promise where no callback is given. Plain syntax: Node.js 6. There is no stream manager in this
 * SDK: bundle Amazon's for its client.
 */
exports.GreengrassInterfaceVersion = '1.5';
exports.Lambda = require('./lambda');
exports.IotData = require('./iotdata');
exports.SecretsManager = require('./secretsmanager');
