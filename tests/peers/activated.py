"""A server in Python that is started by socket activation, on all of the sockets that it is given.

It answers each connection with one line of JSON, and closes it. With an argument it does not end by
SIGTERM.
"""
import json
import os
import selectors
import signal
import socket
import stat
import sys

if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

names = os.environ["LISTEN_FDNAMES"].split(":")
selector = selectors.DefaultSelector()
for fd in range(3, 3 + int(os.environ["LISTEN_FDS"])):
    selector.register(socket.socket(fileno=fd), selectors.EVENT_READ, names[fd - 3])

while True:
    for key, _ in selector.select():
        try:
            connection, _ = key.fileobj.accept()
        except BlockingIOError:
            # Another process of the service was faster.
            continue
        with connection:
            answer = {
                "pid": os.getpid(),
                "own": os.environ["LISTEN_PID"] == str(os.getpid()),
                "fd": key.fd,
                "name": key.data,
                "open": [
                    fd for fd in range(3, 64)
                    if os.path.exists(f"/proc/self/fd/{fd}")
                    and stat.S_ISSOCK(os.fstat(fd).st_mode)
                    and fd != connection.fileno()
                ],
            }
            connection.sendall(json.dumps(answer).encode() + b"\n")
