"""Calls between functions as the machine learning SDK makes them."""
from greengrass_ipc_python_sdk.ipc_client import IPCClient, IPCException


class GreengrassRuntimeException(Exception):
    pass


class GreengrassServiceMessage(object):
    def __init__(self, context=None, payload=None):
        self.context = context
        self.payload = payload


class GreengrassServiceCallOutput(object):
    """`error_response` is falsy on success; `response` and `error_response` are messages."""

    def __init__(self, response=None, error_response=None):
        self.response = response
        self.error_response = error_response


class GreengrassServiceClient(object):
    def __init__(self):
        self._ipc = IPCClient()

    def call(self, address, message):
        try:
            invocation_id = self._ipc.post_work(address, message.payload, message.context, 'RequestResponse')
            output = self._ipc.get_work_result(address, invocation_id)
        except IPCException as error:
            raise GreengrassRuntimeException(str(error))
        answer = GreengrassServiceMessage(payload=output.payload)
        if output.func_err:
            return GreengrassServiceCallOutput(error_response=answer)
        return GreengrassServiceCallOutput(response=answer)
