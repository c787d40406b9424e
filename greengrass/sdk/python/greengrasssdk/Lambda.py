"""Invokes other functions of the group."""
import logging
import re
from io import BytesIO

from greengrass_common.function_arn_fields import FunctionArnFields
from greengrass_ipc_python_sdk.ipc_client import IPCClient, IPCException

from .stream import StreamingBody

customer_logger = logging.getLogger('greengrasssdk.Lambda')

_BASE64 = re.compile(r'^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$')
_INVOCATION_TYPES = ('RequestResponse', 'Event')


class InvocationException(Exception):
    """The core could not take the invocation."""


class Client(object):
    def __init__(self, endpoint='localhost', port=None):
        self.ipc = IPCClient(endpoint=endpoint, port=port)

    def invoke(self, **kwargs):
        """
        FunctionName (ARN, required), Qualifier, ClientContext (base64, bytes), Payload (bytes, str or a file),
        InvocationType (RequestResponse or Event).

        Answers `{'Payload', 'FunctionError'}`: the payload is a StreamingBody on success, the error's bytes where the
        function failed (FunctionError 'Handled' or 'Unhandled'), empty for an Event.
        """
        function_name = kwargs.get('FunctionName')
        if not function_name:
            raise ValueError('"FunctionName" argument of Lambda.Client.invoke is a required argument but was not provided.')
        arn = self._qualified_arn(FunctionArnFields(function_name), kwargs.get('Qualifier'))
        context = self._context(kwargs.get('ClientContext', b''))
        invocation_type = kwargs.get('InvocationType', 'RequestResponse')
        if invocation_type not in _INVOCATION_TYPES:
            raise ValueError('InvocationType must be one of {}'.format(', '.join(_INVOCATION_TYPES)))
        return self._invoke_internal(arn, kwargs.get('Payload', b''), context, invocation_type)

    @staticmethod
    def _qualified_arn(fields, qualifier):
        if fields.qualifier and qualifier and fields.qualifier != qualifier:
            raise ValueError('The derived qualifier from the function name does not match the specified qualifier.')
        return FunctionArnFields.build_function_arn(fields.unqualified_arn, qualifier or fields.qualifier)

    @staticmethod
    def _context(context):
        text = context.decode('ascii') if isinstance(context, bytes) else context
        if not _BASE64.match(text):
            raise ValueError('ClientContext must be base64')
        return context

    def _invoke_internal(self, function_arn, payload, client_context, invocation_type='RequestResponse'):
        if hasattr(payload, 'read'):
            payload = payload.read()
        try:
            invocation_id = self.ipc.post_work(function_arn, payload, client_context, invocation_type)
            if invocation_type == 'Event':
                return {'Payload': b'', 'FunctionError': ''}
            result = self.ipc.get_work_result(function_arn, invocation_id)
        except IPCException as error:
            customer_logger.error('Failed to invoke function %s: %s', function_arn, error)
            raise InvocationException('Failed to invoke function due to ' + str(error))
        if result.func_err:
            return {'Payload': result.payload, 'FunctionError': result.func_err}
        return {'Payload': StreamingBody(BytesIO(result.payload), len(result.payload)), 'FunctionError': ''}
