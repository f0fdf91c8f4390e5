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

import sys  # noqa: E402

# Tests start a hundred of these; the modules `socket` and `json` take longer to load than all of this.
import _socket  # noqa: E402

HEADER, INT = struct.Struct(">HBBIHH"), struct.Struct("i")
MAGIC, VERSION, START, SOFTSTOP, READY = 0x5A43, 1, 1, 2, 65

control = _socket.socket(fileno=int(sys.argv[sys.argv.index("-server-control") + 1]))
received = b""
while True:
    data, messages, _flags, _address = control.recvmsg(65536, _socket.CMSG_LEN(16 * INT.size))
    for _level, _type, descriptors in messages:
        for (descriptor,) in INT.iter_unpack(descriptors):
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
            generation = int(payload.partition(b'"generation":')[2].partition(b",")[0].strip(b" }"))
            answer = b'{"pid":%d,"generation":%d}' % (os.getpid(), generation)
            control.sendall(HEADER.pack(MAGIC, VERSION, READY, len(answer), 0, 0) + answer)
