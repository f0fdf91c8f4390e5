# The same as log_writer.ts as a program of LIB-ZC sends: blocking, unconnected, one call a line.
import os, socket, sys, time

path, seconds = sys.argv[1], float(sys.argv[2])
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sys.stdin.read()
end, lines = time.monotonic() + seconds, 0
while time.monotonic() < end:
    for _ in range(100):
        lines += 1
        s.sendto(b"writer,%d,a line of the usual length, number %d [main.c:12]" % (os.getpid(), lines), path)
print(lines)
