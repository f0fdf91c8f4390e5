"""A server that speaks the control protocol and attacks its master, or the listeners that it shares.

The first argument names the attack, which is made when the server has said that it is ready. The
server tells on standard error that the attack is over, and what came of it; then it does nothing
until it is told to stop or its master is gone. Only what it needs of docs/protocol.md is here.
"""
import ctypes
import fcntl
import json
import os
import select
import socket
import struct
import sys
import time

HEADER = struct.Struct(">HBBIHH")
MAGIC, VERSION, START, SOFTSTOP, READY, HEARTBEAT = 0x5A43, 1, 1, 2, 65, 68
SO_ATTACH_FILTER, SO_LOCK_FILTER, SO_BINDTODEVICE, IP_MINTTL = 26, 44, 25, 21
DESCRIPTORS_AT_ONCE = 250
FLOOD_SECONDS = 1.0

control = socket.socket(fileno=int(sys.argv[sys.argv.index("-server-control") + 1]))
generation = 0


def frame(kind, payload=b"", length=None, descriptors=0):
    """A frame, whose header may lie."""
    return HEADER.pack(MAGIC, VERSION, kind, len(payload) if length is None else length,
                       descriptors, 0) + payload


def report(kind, pid=None, **fields):
    """A message as servers send it."""
    sender = {"pid": os.getpid() if pid is None else pid, "generation": generation}
    return frame(kind, json.dumps({**sender, **fields}).encode())


def send_descriptors():
    """Leaves a frame unfinished, and sends a set of descriptors with each further byte of it."""
    control.sendall(frame(HEARTBEAT, length=1 << 20))
    sent = 0
    try:
        while sent < 16:
            socket.send_fds(control, [b"x"], [0] * DESCRIPTORS_AT_ONCE)
            sent += 1
            time.sleep(0.02)
    except OSError as error:
        return f"refused with {error.errno} after {sent}"
    return f"{sent} sets of descriptors are sent"


def flood(bytes_to_send):
    """Sends the same for a while, as fast as it is taken."""
    many = bytes_to_send * 1000
    sent = 0
    until = time.monotonic() + FLOOD_SECONDS
    try:
        while time.monotonic() < until:
            control.sendall(many)
            sent += 1000
    except OSError as error:
        return f"refused with {error.errno} after {sent}"
    return f"{sent} frames are sent"


def long_frame():
    """Announces more than a server has to say."""
    control.sendall(frame(HEARTBEAT, b"x" * 2000, length=1 << 20))
    return "the beginning of a long frame is sent"


ATTACKS = {
    "nothing": lambda listeners: "nothing",
    "descriptors": lambda listeners: send_descriptors(),
    "unknown": lambda listeners: flood(frame(120, b"{}")),
    "foreign": lambda listeners: flood(report(HEARTBEAT, pid=1)),
    "long-frame": lambda listeners: long_frame(),
}


def main():
    """Speaks with the master until it says to stop, or is gone."""
    global generation
    received, listeners = b"", []
    while True:
        data, descriptors, _flags, _address = socket.recv_fds(control, 65536, 253)
        if not data:
            return
        listeners += [socket.socket(fileno=descriptor) for descriptor in descriptors]
        received += data
        while len(received) >= HEADER.size:
            _magic, _version, kind, length, _count, _zero = HEADER.unpack_from(received)
            if len(received) < HEADER.size + length:
                break
            payload = received[HEADER.size:HEADER.size + length]
            received = received[HEADER.size + length:]
            if kind == SOFTSTOP:
                return
            if kind != START:
                continue
            generation = json.loads(payload)["generation"]
            control.sendall(report(READY))
            outcome = ATTACKS[sys.argv[1]](listeners)
            os.write(2, f"attack of {os.getpid()}: {outcome}\n".encode())


main()
