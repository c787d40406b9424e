"""Secrets of the group."""
import json
from datetime import datetime

from greengrass_common.env_vars import SECRETS_MANAGER_FUNCTION_ARN

from . import Lambda


class SecretsManagerError(Exception):
    """The secret can't be given."""


class Client(object):
    def __init__(self):
        self.lambda_client = Lambda.Client()

    def get_secret_value(self, **kwargs):
        """SecretId (name or ARN, required), VersionStage. Answers the secret as a dict."""
        if 'SecretId' not in kwargs:
            raise ValueError('Parameter "SecretId" is required.')
        if kwargs.get('VersionId'):
            raise SecretsManagerError('Query by VersionId is not yet supported')
        request = {'SecretId': kwargs['SecretId']}
        if kwargs.get('VersionStage'):
            request['VersionStage'] = kwargs['VersionStage']
        answer = self.lambda_client._invoke_internal(
            SECRETS_MANAGER_FUNCTION_ARN, json.dumps(request).encode('utf-8'), b'')
        payload = answer['Payload']
        fields = json.loads((payload if isinstance(payload, bytes) else payload.read()).decode('utf-8'))
        if 'Status' in fields and 'Message' in fields:
            raise SecretsManagerError('Request for secret value returned error code {} with message {}'.format(
                fields['Status'], fields['Message']))
        # On the wire a number of milliseconds.
        fields['CreatedDate'] = datetime.fromtimestamp(fields['CreatedDate'] / 1000.0)
        return fields
