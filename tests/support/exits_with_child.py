"""A parent that passes signals on to its child, and exits when that one does, as the init of a container."""
import signal
import subprocess
import sys

child = subprocess.Popen(sys.argv[1:])
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda which, _: child.send_signal(which))
code = child.wait()
sys.exit(128 - code if code < 0 else code)
