"""Sends many messages by smtplib, on some connections at a time.

Arguments: port, connections, messages for each of them, and the file for the ids of the messages
that were answered 250. Each hundredth of these is told of. A connection that ends is replaced. Its
message, whose fate is not known, is not sent again: the next one has another id.
"""
import smtplib
import sys
import threading
import time

port, connections, messages = map(int, sys.argv[1:4])
accepted = open(sys.argv[4], "w")
lock = threading.Lock()
counts = {"accepted": 0, "unknown": 0, "connections": 0, "refused": 0}
deadline = time.monotonic() + 300


def count(what):
    with lock:
        counts[what] += 1


def connect():
    while time.monotonic() < deadline:
        try:
            client = smtplib.SMTP("127.0.0.1", port, timeout=60)
            client.ehlo("storm")
            count("connections")
            return client
        except (OSError, smtplib.SMTPException):
            time.sleep(0.01)
    raise TimeoutError


def send(name):
    client, done, attempt = None, 0, 0
    while done < messages:
        client = client or connect()
        attempt += 1
        key = f"{name}-{attempt}"
        try:
            client.sendmail("storm@test", ["alice@localhost", "bob@localhost"], f"Subject: storm\r\nX-Id: {key}\r\n\r\nx\r\n")
            done += 1
            with lock:
                accepted.write(f"{key}\n")
                counts["accepted"] += 1
                if counts["accepted"] % 100 == 0:
                    print(counts["accepted"], "accepted", flush=True)
        except smtplib.SMTPResponseException as error:
            if error.smtp_code != 421:
                count("refused")
            client = None
        except (OSError, smtplib.SMTPException):
            count("unknown")
            client = None
    client.quit()


threads = [threading.Thread(target=send, args=(number,)) for number in range(connections)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
accepted.close()
print(counts)
