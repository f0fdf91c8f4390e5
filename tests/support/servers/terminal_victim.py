"""A program that tells what another one has made of its output.

terminal_victim.py DONE: waits for the file DONE and prints whether its output blocks. Then it stays.
"""
import fcntl
import os
import sys
import time

while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
packets = fcntl.fcntl(1, fcntl.F_GETFL) & os.O_DIRECT
state = "blocks" if os.get_blocking(1) else "does not block"
# In one write, which no other output can get into: print() may write each word by itself.
os.write(1, f"\nvictim {state} {packets}\n".encode())
time.sleep(60)
