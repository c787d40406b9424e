"""Messages and shadows."""
import base64
import json

from greengrass_common.env_vars import MY_FUNCTION_ARN, ROUTER_FUNCTION_ARN, SHADOW_FUNCTION_ARN

from . import Lambda

# AllOrException is the SDK's name for what the core calls AllOrError.
_QUEUE_FULL_POLICIES = {'': '', 'BestEffort': 'BestEffort', 'AllOrException': 'AllOrError'}


class ShadowError(Exception):
    """The shadow service refused."""


class Client(object):
    def __init__(self):
        self.lambda_client = Lambda.Client()

    def get_thing_shadow(self, **kwargs):
        """thingName. Answers `{'payload': bytes}`; raises ShadowError where there is no shadow."""
        return self._shadow_op('get', self._required('thingName', **kwargs), b'')

    def update_thing_shadow(self, **kwargs):
        """thingName, payload: `{"state": {"desired": ..., "reported": ...}}` as JSON text."""
        thing_name = self._required('thingName', **kwargs)
        return self._shadow_op('update', thing_name, self._required('payload', **kwargs))

    def delete_thing_shadow(self, **kwargs):
        return self._shadow_op('delete', self._required('thingName', **kwargs), b'')

    def publish(self, **kwargs):
        """
        topic (required), payload (bytes, str or a file; empty where there is none), queueFullPolicy ('BestEffort', the default, or 'AllOrException': raise where one
        of the targets can't take the message). Who gets it is decided by the subscriptions of the group.
        """
        topic = self._required('topic', **kwargs)
        payload = kwargs.get('payload', b'')
        policy = kwargs.get('queueFullPolicy', '')
        if policy not in _QUEUE_FULL_POLICIES:
            raise ValueError('queueFullPolicy must be one of BestEffort, AllOrException')
        context = {'custom': {
            'source': MY_FUNCTION_ARN, 'subject': topic, 'queueFullPolicy': _QUEUE_FULL_POLICIES[policy]}}
        self.lambda_client._invoke_internal(ROUTER_FUNCTION_ARN, payload, _encode(context), 'Event')

    @staticmethod
    def _required(name, **kwargs):
        if name not in kwargs:
            raise ValueError('Parameter "{}" is required.'.format(name))
        return kwargs[name]

    def _shadow_op(self, op, thing_name, payload):
        topic = '$aws/things/{}/shadow/{}'.format(thing_name, op)
        answer = self.lambda_client._invoke_internal(
            SHADOW_FUNCTION_ARN, payload, _encode({'custom': {'subject': topic}}))
        name = '{} shadow'.format(op)
        if answer['FunctionError']:
            raise ShadowError('Request for {} returned FunctionError "{}" with error payload "{}"'.format(
                name, answer['FunctionError'], answer['Payload']))
        body = answer['Payload'].read()
        fields = json.loads(body.decode('utf-8')) if body else {}
        if 'code' in fields and 'message' in fields:
            raise ShadowError('Request for {} returned error code {} with message "{}"'.format(
                name, fields['code'], fields['message']))
        return {'payload': body}


def _encode(context):
    return base64.b64encode(json.dumps(context).encode('utf-8'))
