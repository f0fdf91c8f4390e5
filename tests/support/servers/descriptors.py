"""A server that speaks the control protocol without this project's code.

Before all else it prints the numbers of its open descriptors, as `descriptors PID: 0 1 2 …`; then it
says that it is ready, and ends when it is told to stop or when its master is gone. Only what it needs
of docs/protocol.md is here.
"""
import os
import struct

numbers = []
for name in os.listdir("/proc/self/fd"):
    try:
        os.readlink(f"/proc/self/fd/{name}")
        numbers.append(int(name))
    except FileNotFoundError:
        pass  # The directory's own.
os.write(2, f"descriptors {os.getpid()}: {' '.join(map(str, sorted(numbers)))}\n".encode())

import json  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402

HEADER = struct.Struct(">HBBIHH")
MAGIC, VERSION, START, SOFTSTOP, READY = 0x5A43, 1, 1, 2, 65

control = socket.socket(fileno=int(sys.argv[sys.argv.index("-server-control") + 1]))
received = b""
while True:
    data, descriptors, _flags, _address = socket.recv_fds(control, 65536, 16)
    for descriptor in descriptors:
        os.close(descriptor)
    if not data:
        break
    received += data
    while len(received) >= HEADER.size:
        magic, version, kind, length, _count, _zero = HEADER.unpack_from(received)
        assert (magic, version) == (MAGIC, VERSION)
        if len(received) < HEADER.size + length:
            break
        payload = received[HEADER.size:HEADER.size + length]
        received = received[HEADER.size + length:]
        if kind == SOFTSTOP:
            sys.exit(0)
        if kind == START:
            generation = json.loads(payload)["generation"]
            answer = json.dumps({"pid": os.getpid(), "generation": generation}).encode()
            control.sendall(HEADER.pack(MAGIC, VERSION, READY, len(answer), 0, 0) + answer)
