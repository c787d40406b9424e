"""
The function's log: one pipe for each level, named by `_GG_LOG_FD_<LEVEL>`; a record is one line. `logging`, `print`
and what is written to standard error all end there, with the file and line of who wrote.
"""
import logging
import os
import sys
import traceback

LOCALWATCH_FORMAT = '%(filename)s:%(lineno)d,%(message)s'

_LEVELS = ('DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL')
_FALLBACK = {'DEBUG': 1, 'INFO': 1, 'WARN': 2, 'ERROR': 2, 'FATAL': 2}


def _descriptor(level):
    """Standard output or error where the core gave no pipe for the level."""
    value = os.environ.get('_GG_LOG_FD_' + level, '')
    return int(value) if value.isdigit() else _FALLBACK[level]


_DESCRIPTORS = dict((level, _descriptor(level)) for level in _LEVELS)


def write_record(level, text):
    """One entry of the log. A line feed inside it would make two, so it is written as the two letters."""
    if not isinstance(text, bytes):
        text = text.encode('utf-8', 'replace')
    data = text.rstrip(b'\n').replace(b'\n', b'\\n') + b'\n'
    try:
        while data:
            data = data[os.write(_DESCRIPTORS[level], data):]
    except OSError:
        pass  # the core has gone; so will this worker


def level_name(levelno):
    if levelno >= logging.CRITICAL:
        return 'FATAL'
    if levelno >= logging.ERROR:
        return 'ERROR'
    if levelno >= logging.WARNING:
        return 'WARN'
    return 'INFO' if levelno >= logging.INFO else 'DEBUG'


class LocalwatchLogHandler(logging.Handler):
    """`logging` to the function's log."""

    def __init__(self, level=logging.NOTSET):
        logging.Handler.__init__(self, level)
        self.setFormatter(logging.Formatter(LOCALWATCH_FORMAT))

    def emit(self, record):
        try:
            write_record(level_name(record.levelno), self.format(record))
        except Exception:
            self.handleError(record)


class StdioLogWriter(object):
    """Stands in for sys.stdout and sys.stderr: each line becomes an entry with the writer's file and line."""

    encoding = 'utf-8'
    errors = 'replace'

    def __init__(self, level):
        self._level = level
        self._rest = u''

    def write(self, data):
        text = data.decode('utf-8', 'replace') if isinstance(data, bytes) else data
        lines = (self._rest + text).split(u'\n')
        self._rest = lines.pop()
        for line in lines:
            if line:
                write_record(self._level, self._where() + line)
        return len(data)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        rest, self._rest = self._rest, u''
        if rest:
            write_record(self._level, self._where() + rest)

    def isatty(self):
        return False

    def writable(self):
        return True

    def fileno(self):
        return _DESCRIPTORS[self._level]

    @staticmethod
    def _where():
        frame = sys._getframe(2)
        return u'{}:{},'.format(os.path.basename(frame.f_code.co_filename), frame.f_lineno)


def install(level):
    """Makes all of the function's output go to its log."""
    root = logging.getLogger()
    root.addHandler(LocalwatchLogHandler(level))
    root.setLevel(level)
    sys.stdout = StdioLogWriter('INFO')
    sys.stderr = StdioLogWriter('ERROR')


def format_exception():
    return traceback.format_exc()


local_cloudwatch_handler = LocalwatchLogHandler()
