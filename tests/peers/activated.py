"""A server in Python that is started by socket activation, on all of the sockets that it is given.

It answers each connection with one line of JSON, and closes it. SIGTERM ends it when it has answered
what it has accepted; with an argument it does not.
"""
import json
import os
import selectors
import signal
import socket
import stat
import sys

names = os.environ["LISTEN_FDNAMES"].split(":")
selector = selectors.DefaultSelector()
end, end_input = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: os.write(end_input, b"."))
    selector.register(end, selectors.EVENT_READ, "end")
for fd in range(3, 3 + int(os.environ["LISTEN_FDS"])):
    selector.register(socket.socket(fileno=fd), selectors.EVENT_READ, names[fd - 3])

running = True
while running:
    for key, _ in selector.select():
        if key.fileobj == end:
            running = False
            continue
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
