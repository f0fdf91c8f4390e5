"""Runs a command whose standard outputs come to nothing at a moment of the test's choice.

outlet.py KIND COMMAND...; KIND is terminal, closed-pipe, full-pipe or full-disk. What the command
prints is passed on until an empty line comes from the standard input. Then the terminal or the pipe
is closed, or the pipe is read no more. Other input is typed on the terminal.
"""
import fcntl
import os
import pty
import select
import sys
import termios

kind, *command = sys.argv[1:]
ours = None
if kind == "terminal":
    ours, theirs = pty.openpty()
elif kind == "full-disk":
    theirs = os.open("/dev/full", os.O_WRONLY)
else:
    ours, theirs = os.pipe()

pid = os.fork()
if pid == 0:
    os.setsid()
    if kind == "terminal":
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        os.dup2(theirs, 0)
    os.dup2(theirs, 1)
    os.dup2(theirs, 2)
    os.closerange(3, 100)
    os.execvp(command[0], command)
os.close(theirs)

while True:
    ready, _, _ = select.select([0] if ours is None else [0, ours], [], [])
    if ours in ready:
        try:
            os.write(1, os.read(ours, 65536))
        except OSError:
            # Nobody has the terminal open any more.
            break
    if 0 in ready:
        typed = os.read(0, 1024)
        if typed in (b"\n", b""):
            break
        os.write(ours, typed)
if ours is not None and kind != "full-pipe":
    os.close(ours)
print("nobody listens", flush=True)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
