"""
The client of the core's IPC (IPC.md): plain HTTP on localhost, one connection kept for each thread. Runs on Python 2.7
and 3.
"""
import json
import logging
import os
import threading

from greengrass_common.env_vars import AUTH_TOKEN, GG_DAEMON_PORT
from greengrass_ipc_python_sdk.channel import (
    EVENT, GET_RESULT, MAX_PAYLOAD_BYTES, POST, ChannelClosed, current_channel)
from greengrass_ipc_python_sdk.http_connection import ConnectionClosed, HttpConnection

API = '/2016-11-01/functions/'
DEFAULT_PORT = 8000

HEADER_INVOCATION_ID = 'X-Amz-InvocationId'
HEADER_CLIENT_CONTEXT = 'X-Amz-Client-Context'
HEADER_AUTH_TOKEN = 'Authorization'
HEADER_INVOCATION_TYPE = 'X-Amz-Invocation-Type'
HEADER_FUNCTION_ERR_TYPE = 'X-Amz-Function-Error'

runtime_logger = logging.getLogger('runtime')


class IPCException(Exception):
    """A request to the core failed. `is_final`: the core refused it and would do so again."""
    is_final = False


class WorkItem(object):
    def __init__(self, invocation_id, payload, client_context=None):
        self.invocation_id = invocation_id
        self.payload = payload
        self.client_context = client_context


class GetWorkResultOutput(object):
    def __init__(self, payload, func_err):
        self.payload = payload
        self.func_err = func_err


class InitializationResult(object):
    def __init__(self, function_error=None):
        self.function_error = function_error

    def to_json(self):
        error = self.function_error
        return json.dumps({'Success': error is None, 'Response': '' if error is None else str(error)})


class IPCClient(object):
    """One for a process is enough; every thread has a connection of its own."""

    _daemon_port = int(GG_DAEMON_PORT or DEFAULT_PORT)

    def __init__(self, endpoint='localhost', port=None):
        if port is not None and port != IPCClient._daemon_port:
            runtime_logger.debug('the port %s is ignored; the core listens on %s', port, IPCClient._daemon_port)
        # Names other than the loopback's make no sense; the address spares a look-up.
        self.endpoint = '127.0.0.1' if endpoint == 'localhost' else endpoint
        self._local = threading.local()

    @staticmethod
    def set_gg_daemon_port(port):
        IPCClient._daemon_port = int(port)

    @property
    def port(self):
        return IPCClient._daemon_port

    def post_work(self, function_arn, payload, client_context, invocation_type='RequestResponse'):
        """Invokes; answers the invocation id."""
        channel = current_channel()
        if channel is not None:
            flag = EVENT if invocation_type == 'Event' else 0
            return self._ask(channel, POST, flag, function_arn, _text(client_context), _bytes(payload))[0]
        headers = {
            HEADER_CLIENT_CONTEXT: _text(client_context),
            HEADER_INVOCATION_TYPE: invocation_type,
        }
        answer_headers, _ = self._request('POST', API + function_arn, headers, _bytes(payload))
        return answer_headers.get(HEADER_INVOCATION_ID.lower())

    def get_work(self, function_arn):
        """Blocks until there is work."""
        channel = current_channel()
        if channel is not None:
            try:
                return WorkItem(*_work_item(*channel.next_work()))
            except ChannelClosed as error:
                raise _final(str(error))
        headers, body = self._request('GET', API + function_arn + '/work', {}, None)
        return WorkItem(
            invocation_id=headers.get(HEADER_INVOCATION_ID.lower()),
            payload=body,
            client_context=headers.get(HEADER_CLIENT_CONTEXT.lower()) or '',
        )

    def post_work_result(self, function_arn, work_item):
        if self._post_by_channel(work_item.invocation_id, _bytes(work_item.payload), False):
            return
        headers = {HEADER_INVOCATION_ID: work_item.invocation_id}
        self._request('POST', API + function_arn + '/work', headers, _bytes(work_item.payload))

    def post_handler_err(self, function_arn, invocation_id, handler_err):
        """The handler failed: reported as a function error of kind Handled."""
        headers = {HEADER_INVOCATION_ID: invocation_id, HEADER_FUNCTION_ERR_TYPE: 'Handled'}
        body = json.dumps({'errorMessage': str(handler_err)})
        if self._post_by_channel(invocation_id, _bytes(body), True):
            return
        self._request('POST', API + function_arn + '/work', headers, _bytes(body))

    def get_work_result(self, function_arn, invocation_id):
        """Blocks until the invocation is done."""
        channel = current_channel()
        if channel is not None:
            func_err, body = self._ask(channel, GET_RESULT, 0, invocation_id, '', b'')
            return GetWorkResultOutput(body, func_err)
        headers, body = self._request('GET', API + function_arn, {HEADER_INVOCATION_ID: invocation_id}, None)
        # Never None: the SDKs take None for an error.
        return GetWorkResultOutput(body, headers.get(HEADER_FUNCTION_ERR_TYPE.lower()) or '')

    def put_initialization_result(self, function_arn, func_error=None):
        result = InitializationResult(func_error)
        self._request('PUT', API + function_arn + '/initialized', {}, _bytes(result.to_json()))

    @staticmethod
    def _ask(channel, kind, flag, first, second, payload):
        """Answers (text, payload); an IPCException where the core refuses."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise _final('HTTP Error 413: the payload is larger than {} bytes'.format(MAX_PAYLOAD_BYTES))
        try:
            status, text, reason, body = channel.ask(kind, flag, first, second, payload)
        except ChannelClosed as error:
            raise _final(str(error))
        if status >= 300:
            runtime_logger.error('IPC request failed: %d %s', status, reason)
            raise _final('HTTP Error {}: {}'.format(status, reason))
        return text, body

    @staticmethod
    def _post_by_channel(invocation_id, payload, is_error):
        """False where there is no channel for the caller."""
        channel = current_channel()
        if channel is None:
            return False
        try:
            is_taken = channel.result(invocation_id, payload, is_error)
        except ChannelClosed as error:
            raise _final(str(error))
        if not is_taken:
            raise _final('HTTP Error 413: the result is larger than {} bytes'.format(MAX_PAYLOAD_BYTES))
        return True

    def _request(self, method, path, headers, body):
        all_headers = [(HEADER_AUTH_TOKEN, AUTH_TOKEN or '')]
        all_headers.extend(headers.items())
        if body is not None:
            all_headers.append(('Content-Type', 'application/octet-stream'))
        payload = body or b''
        try:
            connection, is_kept = self._connection()
            try:
                answer = connection.exchange(method, path, all_headers, payload)
            except ConnectionClosed:
                # The core may have closed the kept connection meanwhile (it idled, or the core was restarted).
                self._drop()
                if not is_kept:
                    raise
                connection, _ = self._connection()
                answer = connection.exchange(method, path, all_headers, payload)
        except Exception as error:
            self._drop()
            raise IPCException(str(error))
        status, reason, answer_headers, answer_body = answer
        if answer_headers.get('connection') == 'close':
            self._drop()
        if status >= 300:
            runtime_logger.error('IPC request %s failed: %d %s', method, status, reason)
            error = IPCException('HTTP Error {}: {}'.format(status, reason))
            error.is_final = status < 500
            raise error
        return answer_headers, answer_body

    def _connection(self):
        connection = getattr(self._local, 'connection', None)
        # A child process must not speak over its parent's.
        if connection is not None and connection.pid == os.getpid():
            return connection, True
        connection = HttpConnection(self.endpoint, self.port)
        self._local.connection = connection
        return connection, False

    def _drop(self):
        connection = getattr(self._local, 'connection', None)
        self._local.connection = None
        if connection is not None:
            connection.close()


def _work_item(invocation_id, context, payload):
    return invocation_id, payload, context


def _final(message):
    error = IPCException(message)
    error.is_final = True
    return error


def _bytes(value):
    if value is None:
        return b''
    return value if isinstance(value, (bytes, bytearray)) else value.encode('utf-8')


def _text(value):
    """The SDKs give the context as base64 text, as bytes or as str."""
    if value is None:
        return ''
    return value.decode('ascii') if isinstance(value, bytes) and not isinstance(value, str) else value
