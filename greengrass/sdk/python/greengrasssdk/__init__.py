"""
Greengrass Core SDK for Python, with the API of Amazon's: functions written on theirs run on this one unchanged.

    import greengrasssdk
    iot = greengrasssdk.client('iot-data')
    iot.publish(topic='hello/world', payload='Hello')

Python 2.7 and 3.
"""
from .client import client
from .stream import StreamingBody

__version__ = '1.6.1'
INTERFACE_VERSION = '1.5'

__all__ = ['client', 'StreamingBody', 'INTERFACE_VERSION']
