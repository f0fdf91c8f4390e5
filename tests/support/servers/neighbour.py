"""Attacks its master by what it shares with it, and by its pid; prints what was refused."""
import ctypes
import fcntl
import os
import signal
import sys
import time

F_SETSIG, F_SETPIPE_SZ = 10, 1031
PTRACE_ATTACH, SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 16, 434, 438
RLIMIT_NOFILE = 7

libc = ctypes.CDLL(None, use_errno=True)
master = os.getppid()


def say(*words):
    print(*words, file=sys.stderr, flush=True)


# The next event on each of these, a client of the listener or a read of the output, sends SIGKILL.
for fd in (1, 2, 3):
    fcntl.fcntl(fd, fcntl.F_SETOWN, master)
    fcntl.fcntl(fd, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)

pidfd = libc.syscall(SYS_PIDFD_OPEN, master, 0)
one = ctypes.byref((ctypes.c_uint64 * 2)(1, 1))
CALLS = {
    "kill": lambda: libc.kill(master, signal.SIGUSR1),
    "ptrace": lambda: libc.ptrace(PTRACE_ATTACH, master, 0, 0),
    "pidfd_getfd": lambda: libc.syscall(SYS_PIDFD_GETFD, pidfd, 0, 0),
    "prlimit": lambda: libc.prlimit(master, RLIMIT_NOFILE, one, 0),
    "setpriority": lambda: libc.setpriority(0, master, 19),
    "sched_setaffinity": lambda: libc.sched_setaffinity(master, 8, one),
}
refused = [name for name, call in CALLS.items() if call() == -1]
for name in ("environ", "mem", "maps", "oom_score_adj", "coredump_filter"):
    try:
        open("/proc/%d/%s" % (master, name), "r+b" if name == "mem" else "rb").close()
    except PermissionError:
        refused.append(name)
say("refused:", *refused)

fcntl.fcntl(1, F_SETPIPE_SZ, 4096)
source, sink = os.pipe()
os.write(sink, b"by tee\n")
libc.tee(source, 1, 100, 0)
os.splice(source, 1, 100)
text = ctypes.create_string_buffer(b"by vmsplice\n")
libc.vmsplice(1, (ctypes.c_uint64 * 2)(ctypes.addressof(text), 12), 1, 0)
# Each write is a packet of its own now, of which a short read loses the rest.
fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) | os.O_DIRECT)
os.write(1, b"in a packet\n")
stolen = os.open("/proc/self/fd/1", os.O_RDONLY | os.O_NONBLOCK)
say("done")
while True:
    time.sleep(60)
