"""
The Python runtime of a worker: loads the handler, asks the core for work, calls the handler, posts what it gave.
`lambda_runtime.py --handler=<module.function>`; Python 2.7 and 3.
"""
import binascii
import collections
import importlib
import json
import logging
import os
import signal
import sys
import time
import types

from greengrass_common import common_log_appender
from greengrass_common.common_log_appender import write_record
from greengrass_common.env_vars import ENCODING_TYPE, MY_FUNCTION_ARN
from greengrass_common.function_arn_fields import FunctionArnFields
from greengrass_ipc_python_sdk.channel import open_channel
from greengrass_ipc_python_sdk.ipc_client import IPCClient, WorkItem
from greengrass_ipc_python_sdk.utils.exponential_backoff import RetryTimeoutException, retry

ClientContextClient = collections.namedtuple('ClientContextClient', [
    'installation_id', 'app_title', 'app_version_name', 'app_version_code', 'app_version_package_name'])
ClientContext = collections.namedtuple('ClientContext', ['client', 'custom', 'env'])

_LOG_LEVELS = {
    'TRACE': logging.NOTSET, 'DEBUG': logging.DEBUG, 'INFO': logging.INFO, 'WARN': logging.WARNING,
    'ERROR': logging.ERROR, 'FATAL': logging.CRITICAL, 'NOTSET': logging.NOTSET,
}

# First delay 50 ms, doubled up to 500 ms, ten attempts, 3 s in all.
_retried = retry(time_unit=0.001, multiplier=50, backoff_coefficient=2, max_delay=500, max_attempts=10,
                 expiration_duration=3000, enable_jitter=True)


class LambdaContext(object):
    """What a handler gets as its second argument."""

    def __init__(self, work_item, arn_fields, started):
        self.invoked_function_arn = MY_FUNCTION_ARN
        self.function_name = arn_fields.name
        self.function_version = arn_fields.qualifier
        self.aws_request_id = work_item.invocation_id
        self.client_context = parse_client_context(work_item.client_context)
        self.identity = None
        self.memory_limit_in_mb = None
        self.log_group_name = '/aws/lambda/' + arn_fields.name
        self.log_stream_name = ''
        self._started = started

    def get_remaining_time_in_millis(self):
        """The core measures the time; this is an estimate from the function's default of three seconds."""
        return max(0, int(3000 - (time.time() - self._started) * 1000))


def parse_client_context(encoded):
    """None where there is no context; else its three parts, each as it came."""
    if not encoded:
        return None
    fields = json.loads(binascii.a2b_base64(encoded).decode('utf-8'))
    if not isinstance(fields, dict):
        return ClientContext(None, fields, None)
    client = fields.get('client')
    if isinstance(client, dict):
        client = ClientContextClient(**dict((name, client.get(name)) for name in ClientContextClient._fields))
    return ClientContext(client, fields.get('custom'), fields.get('env'))


def load_handler(name):
    """`package.module.function`; the module's top-level code runs now."""
    module_name, _, function_name = name.rpartition('.')
    if not module_name:
        raise ValueError('the handler must be named <module>.<function>')
    return getattr(importlib.import_module(module_name.replace('/', '.')), function_name)


def prepare_event(payload):
    if ENCODING_TYPE == 'binary':
        return payload
    if not payload:
        return {}
    return json.loads(payload.decode('utf-8'))


def prepare_result(result):
    if ENCODING_TYPE == 'binary':
        if result is None:
            return b''
        return result if isinstance(result, (bytes, bytearray)) else result.encode('utf-8')
    return json.dumps(result).encode('utf-8')


class LambdaRuntime(object):
    def __init__(self, handler):
        self._handler = handler
        self._ipc = IPCClient()
        self._arn_fields = FunctionArnFields(MY_FUNCTION_ARN)

    def run_forever(self):
        while True:
            item = self._get_work()
            try:
                event = prepare_event(item.payload)
                context = LambdaContext(item, self._arn_fields, time.time())
                payload = prepare_result(self._handler(event, context))
            except Exception as error:
                logging.getLogger().error('%s', common_log_appender.format_exception())
                self._post_error(item.invocation_id, error)
                continue
            self._post_result(WorkItem(item.invocation_id, payload))

    @_retried
    def _get_work(self):
        return self._ipc.get_work(MY_FUNCTION_ARN)

    def _post_result(self, item):
        self._settle(item.invocation_id, lambda: self._ipc.post_work_result(MY_FUNCTION_ARN, item))

    def _post_error(self, invocation_id, error):
        self._settle(invocation_id, lambda: self._ipc.post_handler_err(MY_FUNCTION_ARN, invocation_id, error))

    @staticmethod
    def _settle(invocation_id, post):
        try:
            _retried(post)()
        except RetryTimeoutException as error:
            write_record('ERROR', 'The result of {} could not be posted: {}'.format(invocation_id, error))


def make_main_module_importable():
    """Functions that import `lambda_runtime` get this module, not a second copy of it."""
    sys.modules.setdefault('lambda_runtime', sys.modules['__main__'])


def handler_argument(arguments):
    for argument in arguments:
        if argument.startswith('--handler='):
            return argument[len('--handler='):]
    raise ValueError('--handler=<module.function> is missing')


def wait_at_gate():
    """A worker that was started ahead of its work goes on with a line from the core; without the core it ends."""
    if os.environ.pop('_GG_GATE', None) and not os.read(0, 1):
        os._exit(125)


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        common_log_appender.install(_LOG_LEVELS.get(os.environ.get('LOG_LEVEL', 'NOTSET'), logging.NOTSET))
        make_main_module_importable()
        open_channel()
        name = handler_argument(sys.argv[1:])
        wait_at_gate()
    except Exception as error:
        write_record('FATAL', 'Failed to initialize Lambda runtime due to exception: {}'.format(error))
        sys.exit(1)
    try:
        handler = load_handler(name)
        if not isinstance(handler, types.FunctionType) and not callable(handler):
            raise TypeError('"{}" is not a function'.format(name))
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        logging.getLogger().error('%s', common_log_appender.format_exception())
        write_record('FATAL', 'Failed to import handler function "{}" due to exception: {}'.format(name, error))
        sys.exit(1)
    try:
        LambdaRuntime(handler).run_forever()
    except Exception as error:
        write_record('FATAL', 'Lambda runtime failed due to exception: {}'.format(error))
        # Threads of the function must not keep a worker alive that takes no more work.
        os._exit(1)


if __name__ == '__main__':
    main()
