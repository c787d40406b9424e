"""How a function takes its event: parsed JSON, or the bytes as they came."""


class EncodingType(object):
    JSON = 'json'
    BINARY = 'binary'
