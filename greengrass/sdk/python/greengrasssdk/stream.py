"""The payload of an answer, to be read like a file."""


class StreamingBody(object):
    def __init__(self, raw_stream, content_length):
        self._raw_stream = raw_stream
        self._content_length = content_length

    def read(self, amt=None):
        return self._raw_stream.read() if amt is None else self._raw_stream.read(amt)

    def close(self):
        self._raw_stream.close()
