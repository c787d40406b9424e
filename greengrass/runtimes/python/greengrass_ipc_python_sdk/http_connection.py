"""
HTTP/1.1 with the core over one kept connection, as little of it as the core speaks: answers have a length. Python's own
client takes longer to load than the interpreter itself, and sends head and body apart.
"""
import os
import socket


class ConnectionClosed(Exception):
    """The core closed the connection before a byte of its answer: the request never reached it."""


class HttpConnection(object):
    def __init__(self, host, port):
        self.pid = os.getpid()
        self._socket = socket.create_connection((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._bytes = b''

    def exchange(self, method, path, headers, body):
        """Answers (status, reason, headers by lower-case name, body)."""
        lines = ['{} {} HTTP/1.1'.format(method, path), 'Host: localhost', 'Content-Length: {}'.format(len(body))]
        lines.extend('{}: {}'.format(name, value) for name, value in headers)
        head = '\r\n'.join(lines) + '\r\n\r\n'
        self._bytes = b''
        try:
            self._socket.sendall(head.encode('latin-1') + body)
            end = self._read_head()
        except (IOError, OSError) as error:
            raise ConnectionClosed(str(error))
        lines = self._bytes[:end].decode('latin-1').split('\r\n')
        _, status, reason = (lines[0] + '  ').split(' ', 2)
        fields = dict((name.lower(), value.strip()) for name, _, value in (line.partition(':') for line in lines[1:]))
        return int(status), reason.strip(), fields, self._read_body(end + 4, int(fields.get('content-length') or 0))

    def _read_head(self):
        end = -1
        while end < 0:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise IOError('the core closed the connection')
            self._bytes += chunk
            end = self._bytes.find(b'\r\n\r\n')
        return end

    def _read_body(self, start, length):
        chunks = [self._bytes[start:]]
        have = len(chunks[0])
        while have < length:
            chunk = self._socket.recv(min(length - have, 1 << 20))
            if not chunk:
                raise IOError('the core broke off')
            chunks.append(chunk)
            have += len(chunk)
        return b''.join(chunks)

    def close(self):
        self._socket.close()
