"""Runs AWS's command line many times: loads it once, then a fork of its own for each command line that comes in.

In: one JSON line for each, {"id", "args", "env", "out", "err"}; the last two name files for its output.
Out: one JSON line for each that ended, {"id", "code"}.
"""
import json
import os
import sys

import awscli.clidriver


def run(task):
    for name, descriptor in (('out', 1), ('err', 2)):
        os.dup2(os.open(task[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    # What the import left there names the folder of its own data.
    data = os.environ['AWS_DATA_PATH']
    os.environ.clear()
    os.environ.update(task['env'], AWS_DATA_PATH=data)
    sys.argv = ['aws'] + task['args']
    sys.exit(awscli.clidriver.main())


def report(task):
    """In a process between, which waits for the command: the loop goes on reading meanwhile."""
    pid = os.fork()
    if pid == 0:
        run(task)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(1, (json.dumps({'id': task['id'], 'code': code}) + '\n').encode())
    os._exit(0)


for line in sys.stdin:
    if os.fork() == 0:
        report(json.loads(line))
