'use strict';
/**
 * Uses a shadow through the SDK, pinned: whenever a delta of a device's shadow comes (a subscription from GGShadowService),
 * it reads that shadow and notes in its own what it saw.
 */
const greengrass = require('aws-greengrass-core-sdk');

const iot = new greengrass.IotData();
const OWN_SHADOW = 'shadow-user';

exports.handler = (event, context, callback) => {
  const thingName = context.clientContext.Custom.subject.split('/')[2];
  iot.getThingShadow({ thingName }, (error, answer) => {
    if (error) {
      callback(error);
      return;
    }
    const { version } = JSON.parse(answer.Payload);
    const payload = JSON.stringify({
      state: { reported: { saw: { [thingName]: { version, delta: event.state } } } },
    });
    iot.updateThingShadow({ thingName: OWN_SHADOW, payload }, (problem, result) => {
      console.log(`${thingName} is at version ${version}`);
      callback(problem, result && JSON.parse(result.Payload));
    });
  });
};
