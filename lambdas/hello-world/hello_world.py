"""
Hello world, pinned: publishes every five seconds for as long as the core runs. The handler itself is never called, since
no subscription leads to it.
"""
import logging
import platform
from threading import Timer

import greengrasssdk

logger = logging.getLogger(__name__)
client = greengrasssdk.client('iot-data')
MESSAGE = 'Hello world! Sent from Greengrass Core running on platform: {}'.format(platform.platform())


def publish_hello():
    try:
        client.publish(topic='hello/world', payload=MESSAGE)
    except Exception as error:
        logger.error('Failed to publish message: %r', error)
    timer = Timer(5, publish_hello)
    timer.daemon = True
    timer.start()


# Top-level code of a pinned function runs when the core starts it.
publish_hello()


def function_handler(event, context):
    return
