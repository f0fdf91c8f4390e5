"""A server that speaks the control protocol and attacks its master, or the listeners that it shares.

The first argument names the attack, which is made when the server has said that it is ready, or, with
"last-" before the name, when it is told to stop. With a path as second argument the attack is left out
where that file is there already, and the file is made. The server tells on standard error that the attack
is over, and what came of it; then it greets its clients, until it is told to stop or its master is gone. Only what it needs of docs/protocol.md is here.
"""
import ctypes
import json
import os
import select
import socket
import struct
import sys
import time

HEADER = struct.Struct(">HBBIHH")
MAGIC, VERSION, START, SOFTSTOP, LIMITS, READY, HEARTBEAT, USED = 0x5A43, 1, 1, 2, 4, 65, 68, 70
SO_ATTACH_FILTER, SO_LOCK_FILTER = 26, 44
DESCRIPTORS_AT_ONCE = 250
FLOOD_SECONDS = 1.0

control = socket.socket(fileno=int(sys.argv[sys.argv.index("-server-control") + 1]))
generation = 0
# What stays open.
kept = []
listeners_of_parent = []


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


def flood_own():
    """Sends what a server may send, again and again."""
    return flood(report(HEARTBEAT) + report(USED, used=True) + report(USED, used=False) +
                 report(READY))


def long_frame():
    """Announces more than a server has to say."""
    control.sendall(frame(HEARTBEAT, b"x" * 2000, length=1 << 20))
    return "the beginning of a long frame is sent"


def lock_filter(listener):
    """Drops all that comes to a listener of TCP, for good."""
    drop_all = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))
    program = struct.pack("=HxxxxxxQ", 1, ctypes.addressof(drop_all))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    listener.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)


def spoil(listener):
    """Has each connection from a listener of TCP be reset, and reach nobody who is far away."""
    if listener.family != socket.AF_UNIX:
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def fill(connection):
    """Has the last close(2) of a connection wait for an hour, whoever calls it: its peer reads nothing."""
    connection.setblocking(False)
    try:
        while True:
            connection.send(bytes(1 << 16))
    except BlockingIOError:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))


def send_lingering():
    """Leaves the last close(2) of a connection to the master, which receives no descriptor."""
    with socket.create_server(("127.0.0.1", 0)) as sink:
        connection = socket.create_connection(sink.getsockname())
        kept.append(sink.accept())
    fill(connection)
    try:
        socket.send_fds(control, [report(HEARTBEAT)], [connection.fileno()])
    except PermissionError:
        kept.append(connection)
        return "refused"
    connection.close()
    return "a connection is sent"


def connect(listener):
    """Turns a listener of TCP into such a connection, and leaves its peer to a child until the master is gone."""
    if listener.family == socket.AF_UNIX:
        return
    with socket.create_server(("127.0.0.1", 0)) as sink:
        listener.shutdown(socket.SHUT_RDWR)
        listener.setblocking(True)
        listener.connect(sink.getsockname())
        kept.append(sink.accept())
    fill(listener)
    master = os.getppid()
    if os.fork() == 0:
        os.closerange(0, 3)
        for other in [control, *listeners_of_parent]:
            other.close()
        until = time.monotonic() + 120
        while os.path.exists(f"/proc/{master}/ns") and time.monotonic() < until:
            time.sleep(0.02)
        os._exit(0)


def to_listeners(attack):
    """Makes an attack on each listener."""
    def attack_all(listeners):
        listeners_of_parent[:] = listeners
        for listener in listeners:
            attack(listener)
        return f"{len(listeners)} listeners"
    return attack_all


ATTACKS = {
    "nothing": lambda listeners: "nothing",
    "descriptors": lambda listeners: send_descriptors(),
    "unknown": lambda listeners: flood(frame(120, b"{}")),
    "foreign": lambda listeners: flood(report(HEARTBEAT, pid=1)),
    "own": lambda listeners: flood_own(),
    "long-frame": lambda listeners: long_frame(),
    "lingering": lambda listeners: send_lingering(),
    "connect": to_listeners(connect),
    "shutdown": to_listeners(lambda listener: listener.shutdown(socket.SHUT_RD)),
    "filter": to_listeners(lock_filter),
    "spoil": to_listeners(spoil),
    "shorten": to_listeners(lambda listener: listener.listen(0)),
    "block": to_listeners(lambda listener: listener.setblocking(True)),
    "remove": to_listeners(lambda listener: os.remove(listener.getsockname())),
}


def is_last_act():
    """Tells whether the attack is made when the server is told to stop."""
    return sys.argv[1].startswith("last-")


def attack(listeners):
    """Makes the attack, unless it was made before."""
    name, path = sys.argv[1].removeprefix("last-"), sys.argv[2]
    if path != "MASTER":
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
    outcome = ATTACKS[name](listeners)
    os.write(2, f"attack of {os.getpid()}: {outcome}\n".encode())


def greet(listener):
    """Accepts a client, if there is one, and greets it."""
    try:
        client, _address = listener.accept()
    except OSError:
        # A listener that was shut down always looks as if somebody waited.
        time.sleep(0.01)
        return
    client.sendall(f"hostile {os.getpid()} - inet\n".encode())
    client.close()


def obey(kind, payload, listeners):
    """Does what the master says; tells whether to go on."""
    global generation
    if kind == SOFTSTOP:
        if is_last_act():
            attack(listeners)
        return False
    if kind == START:
        generation = json.loads(payload)["generation"]
        control.sendall(report(READY))
        if not is_last_act():
            attack(listeners)
    if kind == LIMITS and "idleMs" in json.loads(payload):
        # Who woke this process is served before it may be told to stop.
        for ready in select.select(listeners, [], [], 0)[0]:
            greet(ready)
        control.sendall(report(USED, used=False))
    return True


def main():
    """Serves until the master says to stop, or is gone."""
    received, listeners = b"", []
    while True:
        for ready in select.select([control, *listeners], [], [])[0]:
            if ready is not control:
                greet(ready)
                continue
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
                if not obey(kind, payload, listeners):
                    return


main()
