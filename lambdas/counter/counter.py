"""
Counts its invocations, on-demand: the count lives in the worker, so it goes on where the core reuses the worker and
starts anew where it made another one. Keeps the last count in a file of the group's volume, where it has one.
"""
import json
import logging
import os

import greengrasssdk

logger = logging.getLogger(__name__)
client = greengrasssdk.client('iot-data')
count = 0


def function_handler(event, context):
    global count
    count += 1
    logger.info('Invoked on topic %s', context.client_context.custom['subject'])
    remember(count)
    client.publish(topic='hello/world/counter', payload=json.dumps({
        'message': 'Hello world! Sent from Greengrass Core. Invocation Count: {}'.format(count)}))


def remember(number, folder='/dest/shared'):
    if os.path.isdir(folder):
        with open(os.path.join(folder, 'count'), 'w') as file:
            file.write(str(number))
