/**
 * What the mail clients of Python's library do in the tests; see `pythonMail` for what is defined there.
 *
 * @module
 */

/** smtplib, and a socket for what it can't do. */
export const SMTP_SCRIPT = String.raw`
import smtplib

def refused(code, result):
    assert result[0] == code, result

def talk(text, end):
    with socket.create_connection(("127.0.0.1", ports["smtp"])) as s:
        s.sendall(text)
        seen = b""
        while not re.search(end, seen):
            more = s.recv(65536)
            if not more: break
            seen += more
        return seen

with smtplib.SMTP("localhost", ports["smtp"]) as client:
    code, text = client.ehlo("client.test")
    assert code == 250
    assert client.has_extn("pipelining") and client.has_extn("8bitmime")
    assert client.esmtp_features["size"] == "10485760"
    assert client.has_extn("starttls") and not client.has_extn("auth")
    refused(538, client.docmd("AUTH", "PLAIN AGEAYg=="))
    refused(252, client.verify("alice"))
    refused(500, client.docmd("EXPN", "x"))
    refused(503, client.docmd("RCPT", "TO:<alice@localhost>"))
    refused(503, client.docmd("DATA"))
    refused(501, client.docmd("MAIL", "FROM:alice"))
    refused(552, client.mail("a@b.test", ["SIZE=99999999"]))
    refused(250, client.mail("a@b.test", ["BODY=8BITMIME", "SIZE=500"]))
    refused(503, client.mail("a@b.test"))
    refused(550, client.rcpt("someone@elsewhere.test"))
    refused(550, client.rcpt("nobody@localhost"))
    refused(554, client.docmd("DATA"))
    refused(250, client.rcpt("Alice@LOCALHOST"))
    refused(250, client.rset())
    refused(503, client.docmd("DATA"))
    refused(250, client.noop())
    refused(250, client.rcpt("postmaster") if client.mail("")[0] == 250 else (0,))
    refused(250, client.rset())
    refused(220, client.starttls(context=tls))
    client.ehlo()
    assert client.has_extn("auth") and not client.has_extn("starttls")
    try:
        client.login("bob", "wrong")
        assert False
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535, error
    client.login("bob", words["bob"])
    refused(250, client.mail("bob@localhost"))
    refused(550, client.rcpt("someone@elsewhere.test"))
    client.rset()
    body = "Subject: smtplib\r\n\r\n.dot\r\n..\r\nümlaut\r\n".encode("utf8")
    assert client.sendmail("bob@localhost", ["alice@example.test"], body, ["BODY=8BITMIME"]) == {}

with smtplib.SMTP_SSL("localhost", ports["smtps"], context=tls) as client:
    try:
        client.sendmail("a@b.test", "alice@localhost", b"x" * 11_000_000)
        assert False
    except smtplib.SMTPDataError as error:
        assert error.smtp_code == 552, error
    except smtplib.SMTPSenderRefused as error:
        assert error.smtp_code == 552, error

# Pipelining, two messages in one piece.
one = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@localhost>\r\nRCPT TO:<x@localhost>\r\nDATA\r\nSubject: pipelined\r\n\r\nx\r\n.\r\n"
seen = talk(b"EHLO x\r\n" + one + one + b"QUIT\r\n", b"221 ")
codes = re.findall(rb"^(\d{3}) ", seen, re.M)
assert codes == [b"220", b"250"] + [b"250", b"250", b"550", b"354", b"250"] * 2 + [b"221"], seen

# What comes behind STARTTLS in the same piece is not obeyed, neither before nor after the handshake.
seen = talk(b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bob@localhost>\r\nDATA\r\nSubject: injected\r\n\r\n.\r\n", b"\n501 .*\n")
assert b"\n220 " not in seen and b"\n501 " in seen, seen

# A line without an end, and a client that does not speak SMTP.
assert b"500 " in talk(b"x" * 100_000, b"500 ")
assert b"421 " in talk(b"GET / HTTP/1.1\r\n" * 50, b"421 ")
`;

/** poplib. The maildrop of bob has four messages, and `.`, `..` and `x` are the lines of the last. */
export const POP_SCRIPT = String.raw`
import poplib

def refused(call, *args):
    try:
        call(*args)
    except poplib.error_proto as error:
        return str(error)
    assert False, "not refused"

client = poplib.POP3("localhost", ports["pop3"])
assert "STLS" in client.capa() and "UIDL" in client.capa()
refused(client.stat)
client.user("bob")
assert "AUTH" in refused(client.pass_, "wrong")
client.stls(context=tls)
assert "STLS" not in client.capa()
refused(client.stls, tls)
client.user("bob")
client.pass_(words["bob"])
count, octets = client.stat()
assert count == 4, count
sizes = [int(line.split()[1]) for line in client.list()[1]]
assert sum(sizes) == octets and len(sizes) == count
uids = [line.split()[1] for line in client.uidl()[1]]
assert len(set(uids)) == count and all(len(uid) <= 70 for uid in uids)
assert client.uidl(2).split()[2] == uids[1] and int(client.list(2).split()[2]) == sizes[1]
_, lines, got = client.retr(4)
assert lines[-3:] == [b".", b"..", b"x"], lines
assert sum(len(line) + 2 for line in lines) == sizes[3], (lines, sizes)
assert client.top(4, 1)[1] == lines[:-2]
for number in [0, 5, "x"]: refused(client.retr, number)

# Another session has to wait.
other = poplib.POP3("127.0.0.1", ports["pop3"])
other.user("bob")
assert "IN-USE" in refused(other.pass_, words["bob"])

client.dele(1)
refused(client.dele, 1)
refused(client.retr, 1)
assert client.stat()[0] == 3 and [line.split()[0] for line in client.uidl()[1]] == [b"2", b"3", b"4"]
client.rset()
assert client.stat()[0] == 4
client.dele(2)
# An end without QUIT removes nothing.
client.close()

while True:
    try:
        other.user("bob")
        other.pass_(words["bob"])
        break
    except poplib.error_proto as error:
        assert "IN-USE" in str(error)
assert [line.split()[1] for line in other.uidl()[1]] == uids
other.dele(2)
other.noop()
other.quit()

client = poplib.POP3("127.0.0.1", ports["pop3"])
client.user("bob")
client.pass_(words["bob"])
assert [line.split()[1] for line in client.uidl()[1]] == uids[:1] + uids[2:]
client.quit()

# What comes behind STLS in the same piece is not obeyed.
with socket.create_connection(("127.0.0.1", ports["pop3"])) as s:
    s.sendall(b"STLS\r\nUSER bob\r\n")
    seen = b""
    while (more := s.recv(1000)): seen += more
    assert seen.count(b"+OK") == 1 and b"-ERR" in seen, seen

# Commands in one piece are answered in their order.
with socket.create_connection(("127.0.0.1", ports["pop3"])) as s:
    s.sendall(b"USER bob\r\nPASS %s\r\nSTAT\r\nNOOP\r\nQUIT\r\n" % words["bob"].encode())
    seen = b""
    while (more := s.recv(1000)): seen += more
    assert seen.count(b"+OK") == 6, seen
`;
