"""A program that tries to read what is typed on its master's terminal, to type there itself, and to read
the keys of its master's user.

terminal_thief.py NAME: prints `NAME TYPED PUSHED KEY OUTPUTS`, each attempt's result without a space, and
a control sequence. Then it stays.
"""
import ctypes
import errno
import fcntl
import os
import select
import sys
import termios
import time

SYS_KEYCTL = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
KEYCTL_SEARCH, KEYCTL_READ, SESSION_KEYRING = 10, 11, -3


def attempt(what, *arguments):
    try:
        return what(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def typed(fd):
    if not os.isatty(fd):
        return "no-terminal"
    # The test types as soon as it sees the line.
    os.write(2, b"waiting for input\n")
    ready, _, _ = select.select([fd], [], [], 10)
    return os.read(fd, 100).decode().strip() if ready else "nothing"


def push(fd):
    fcntl.ioctl(fd, termios.TIOCSTI, b"x")
    return "typed"


def key():
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    found = call(SYS_KEYCTL, KEYCTL_SEARCH, ctypes.c_long(SESSION_KEYRING), b"user", b"zc-secret", 0)
    if found < 0:
        return "no-key"
    value = ctypes.create_string_buffer(100)
    size = call(SYS_KEYCTL, KEYCTL_READ, ctypes.c_long(found), value, 100)
    return value.raw[:size].decode() if size > 0 else "no-key"


fds = [0, 1, 2]
terminal = attempt(os.open, "/dev/tty", os.O_RDWR)
if isinstance(terminal, int):
    fds.append(terminal)
pushed = [attempt(push, fd) for fd in fds]
read = [attempt(typed, fd) for fd in fds[1:]]
outputs = ["terminal" if os.isatty(fd) else "pipe" for fd in (1, 2)]
report = [sys.argv[1], *("/".join(map(str, part)) for part in (read, pushed)), key(), "/".join(outputs)]
os.write(2, (" ".join(report) + "\x1b[6n\n").encode())
time.sleep(60)
