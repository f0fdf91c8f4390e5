"""A program that tries to spoil the terminal of its master, and the output of another service there.

terminal_spoiler.py DONE: sends the two bytes of U+009B by two outputs, again and again, and makes its output
non-blocking. Then it creates the file DONE, prints the flags of its output, and stays.
"""
import fcntl
import os
import signal
import sys
import time

for _ in range(20):
    os.write(1, b"\xc2")
    # Each output is passed on by itself.
    time.sleep(0.01)
    os.write(2, b"\x9b\n")
    time.sleep(0.01)
os.set_blocking(1, False)
flags = fcntl.fcntl(1, fcntl.F_GETFL)
fcntl.fcntl(1, fcntl.F_SETFL, flags | os.O_DIRECT)
open(sys.argv[1], "w").close()
# In one write, which no other output can get into: print() may write each word by itself.
os.write(1, b"\nspoiler %s\n" % (b"blocks" if os.get_blocking(1) else b"does not block"))
signal.pause()
