"""Keeps the lock of a file without a descriptor of the file: in a mapping, or in a message on its way.

Arguments: the file, "mapping" or "message", "lives" or "ended" for the process that takes the lock, and
the user to be.
"""
import fcntl
import mmap
import os
import socket
import sys

path, kind, locker, user = sys.argv[1:]
os.setresuid(int(user), int(user), int(user))
fd = os.open(path, os.O_RDONLY)
if locker == "ended":
    # The lock is that of the open file, which this process has as well.
    child = os.fork()
    if child == 0:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os._exit(0)
    os.waitpid(child, 0)
else:
    fcntl.flock(fd, fcntl.LOCK_EX)
if kind == "mapping":
    kept = mmap.mmap(fd, 1, prot=mmap.PROT_READ)
    # Python has a descriptor of its own for a mapping.
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.close(int(name))
            except OSError:
                pass
else:
    kept = socket.socketpair()
    socket.send_fds(kept[0], [b"x"], [fd])
    os.close(fd)
print("has", flush=True)
sys.stdin.read()
