"""A server that prints numbered lines on both outputs, in pieces, until SIGTERM; then their number.

Each line has its output, its number, and as many letters as its number says.
"""
import os
import signal
import time

stopping = False


def stop(*_):
    global stopping
    stopping = True


def line(output, number):
    name = {1: "out", 2: "err"}[output]
    data = f"{name} {number} {'x' * (number % 150)}.\n".encode()
    for at in range(0, len(data), 60):
        os.write(output, data[at:at + 60])


signal.signal(signal.SIGTERM, stop)
number = 0
while not stopping:
    number += 1
    line(1, number)
    line(2, number)
    time.sleep(0.002)
os.write(1, b"last out %d\n" % number)
os.write(2, b"last err %d\n" % number)
