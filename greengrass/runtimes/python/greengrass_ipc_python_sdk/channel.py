"""
Frames with the core over the socket that the worker inherited (IPC.md, section 5). Only the thread that runs the handler
uses it, which is never in two calls at once; other threads and child processes speak HTTP.
"""
import functools
import os
import socket
import struct
import threading

_HEAD = struct.Struct('>IBBHIHI')
NEXT, RESULT, POST, GET_RESULT = 1, 2, 3, 4
WORK, REPLY = 1, 2
HANDLED, TOO_LARGE = 1, 2
EVENT = 1
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024

_channel = None


class ChannelClosed(Exception):
    """The core is gone."""


def open_channel():
    """The runtime calls this once, in its main thread. None where the core gave no socket."""
    global _channel
    number = os.environ.get('_GG_DOOR_FD', '')
    if number.isdigit():
        _channel = Channel(int(number))
    return _channel


def current_channel():
    """The channel, where the caller is its thread and not a signal handler in the middle of a request."""
    channel = _channel
    if channel is None or channel.is_busy or channel.pid != os.getpid():
        return None
    return channel if channel.thread is threading.current_thread() else None


def _exclusive(method):
    """Marks the channel as busy for as long as the method runs."""
    @functools.wraps(method)
    def wrapper(self, *args):
        self.is_busy = True
        try:
            return method(self, *args)
        finally:
            self.is_busy = False
    return wrapper


class Channel(object):
    def __init__(self, descriptor):
        # A copy that programs started by the function do not inherit.
        self._socket = socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM)
        os.close(descriptor)
        self.thread = threading.current_thread()
        self.pid = os.getpid()
        self.is_busy = False
        self._bytes = b''
        self._sequence = 0
        self._is_next_asked = False

    @_exclusive
    def next_work(self):
        """Blocks until there is work: (invocation id, context, payload)."""
        if not self._is_next_asked:
            self._send(NEXT, 0, 0, b'', b'', b'')
            self._is_next_asked = True
        while True:
            kind, _, _, first, second, payload = self._receive()
            if kind == WORK:
                self._is_next_asked = False
                return first, second, payload

    @_exclusive
    def result(self, invocation_id, payload, is_error):
        flag = HANDLED if is_error else 0
        is_too_large = len(payload) > MAX_PAYLOAD_BYTES
        if is_too_large:
            flag, payload = TOO_LARGE, b''
        self._is_next_asked = True
        self._send(RESULT, flag, 0, invocation_id.encode('ascii'), b'', payload)
        return not is_too_large

    @_exclusive
    def ask(self, kind, flag, first, second, payload):
        """A request in the middle of a call: (status, text, reason, payload)."""
        self._sequence = (self._sequence + 1) & 0xffffffff
        self._send(kind, flag, self._sequence, first.encode('utf-8'), second.encode('ascii'), payload)
        while True:
            kind, status, sequence, first, second, payload = self._receive()
            # The reply to an earlier request, which an exception took the function out of, is nobody's.
            if kind == REPLY and sequence == self._sequence:
                return status, first, second, payload

    def _send(self, kind, flag, sequence, first, second, payload):
        size = _HEAD.size - 4 + len(first) + len(second) + len(payload)
        head = _HEAD.pack(size, kind, 0, flag, sequence, len(first), len(second))
        try:
            self._socket.sendall(b''.join((head, first, second, payload)))
        except (IOError, OSError) as error:
            raise ChannelClosed(str(error))

    def _receive(self):
        size = self._fill(_HEAD.size)
        total = _HEAD.unpack_from(self._bytes)[0] + 4
        if size < total:
            self._fill(total)
        data = self._bytes
        self._bytes = data[total:]
        _, kind, _, flag, sequence, length_first, length_second = _HEAD.unpack_from(data)
        end_first = _HEAD.size + length_first
        end_second = end_first + length_second
        return (kind, flag, sequence, data[_HEAD.size:end_first].decode('utf-8'),
                data[end_first:end_second].decode('utf-8'), data[end_second:total])

    def _fill(self, size):
        """Reads until so many bytes are there. What was read stays where an exception ends the wait."""
        if len(self._bytes) >= size:
            return len(self._bytes)
        chunks = [self._bytes]
        have = len(self._bytes)
        try:
            while have < size:
                chunk = self._socket.recv(max(65536, min(size - have, 1 << 20)))
                if not chunk:
                    raise ChannelClosed('the core closed the connection')
                chunks.append(chunk)
                have += len(chunk)
        except (IOError, OSError) as error:
            raise ChannelClosed(str(error))
        finally:
            self._bytes = b''.join(chunks)
        return have
