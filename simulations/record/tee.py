"""Stands between an MCP client and an MCP server on stdio and writes down what they say.

    tee.py LOG SERVER SESSION COMMAND...

One JSON object a line: when, which server, which session, which direction, and the message as it
was on the wire. Each line is one write to the end of LOG, so that several of these may share it.
A line that is no JSON is passed on and written down as a string.
"""

import json
import os
import subprocess
import sys
import threading
from datetime import datetime, timezone

log_path, server, session, *command = sys.argv[1:]
log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def write_down(direction, line):
    text = line.decode("utf-8", "replace").strip()
    if not text:
        return
    try:
        json.loads(text)
    except ValueError:
        text = json.dumps(text)
    around = {
        "time": datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "server": server,
        "session": session,
        "direction": direction,
    }
    # The message goes in as it came: key order, spelling of numbers and all.
    entry = json.dumps(around)[:-1] + ', "message": ' + text + "}\n"
    os.write(log, entry.encode())


def pass_on(source, sink, direction):
    try:
        for line in source:
            write_down(direction, line)
            sink.write(line)
            sink.flush()
        sink.close()
    except (BrokenPipeError, ValueError):
        pass


child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
back = threading.Thread(target=pass_on, args=(child.stdout, sys.stdout.buffer, "server-to-client"))
back.start()
pass_on(sys.stdin.buffer, child.stdin, "client-to-server")
back.join()
sys.exit(child.wait())
