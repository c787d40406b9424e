"""Payload and named extensions as one JSON text; old SDKs know it."""
import base64
import json


class GreengrassMessage(object):
    def __init__(self, payload, **extension_map):
        self.payload = payload
        self.extension_map = extension_map

    def encode(self):
        payload = self.payload if isinstance(self.payload, bytes) else self.payload.encode('utf-8')
        return json.dumps({
            'Payload': base64.b64encode(payload).decode('ascii'),
            'ExtensionMap_': self.extension_map,
        }).encode('utf-8')

    @staticmethod
    def decode(text):
        fields = json.loads(text.decode('utf-8') if isinstance(text, bytes) else text)
        return GreengrassMessage(base64.b64decode(fields['Payload']), **fields.get('ExtensionMap_', {}))
