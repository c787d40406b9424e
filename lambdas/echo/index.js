'use strict';
/**
 * Sends back what it gets, on-demand: a message on topic T comes out on `echo/T`. `handler` takes JSON, `binaryHandler` the
 * bytes as they are (a function with encoding type binary).
 */
const greengrass = require('aws-greengrass-core-sdk');

const iot = new greengrass.IotData();

function publish(context, payload, callback) {
  const topic = `echo/${context.clientContext.Custom.subject}`;
  iot.publish({ topic, payload, queueFullPolicy: 'AllOrError' }, callback);
}

exports.handler = (event, context, callback) => {
  console.log(`echo of ${context.clientContext.Custom.subject}`);
  publish(context, JSON.stringify(event), (error) => callback(error, event));
};

exports.binaryHandler = (event, context, callback) => {
  publish(context, event, (error) => callback(error, event));
};
