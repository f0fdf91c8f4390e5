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

/** imaplib. The INBOX of alice has three messages or more; one has the subject `tree`. */
export const IMAP_SCRIPT = String.raw`
import imaplib

def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]

def refused(call, *args):
    try:
        answer = call(*args)
        assert answer[0] == "NO", answer
    except imaplib.IMAP4.error:
        pass

box = imaplib.IMAP4("localhost", ports["imap"])
assert "STARTTLS" in box.capabilities and "IDLE" in box.capabilities
refused(box.select)
ok(box.starttls(tls))
assert "STARTTLS" not in box.capabilities
refused(box.login, "alice", "wrong")
ok(box.authenticate("PLAIN", lambda _: b"\0alice\0" + words["alice"].encode()))
assert ok(box.list('""', '""'))[0].endswith(b'"." ""')
names = lambda: [line.split(b' "." ')[1] for line in ok(box.list()) if line]
for name in ["Sent", "Work.A", '"with space"', "&AOQ-"]: ok(box.create(name))
refused(box.create, "Sent")
refused(box.create, "INBOX")
for name in ["a/b", "..", '"a*"', ".x"]: refused(box.create, name)
assert names() == [b'"INBOX"', b'"&AOQ-"', b'"Sent"', b'"Work.A"', b'"with space"'], names()
levels = ok(box.list('""', "%"))
assert len(levels) == 5 and rb'(\Noselect) "." "Work"' in levels, levels
refused(box.select, "Work")
assert ok(box.list("Work.", "*")) == [b'() "." "Work.A"']
assert len(ok(box.lsub())) == 5
refused(box.select, "none")
count = int(ok(box.select())[0])
validity, following = [int(box.response(name)[1][0]) for name in ["UIDVALIDITY", "UIDNEXT"]]
status = ok(box.status("INBOX", "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT)"))[0]
assert b"MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN %d RECENT 0" % (count, following, validity, count) in status, status

[number] = ok(box.search(None, "SUBJECT", "tree"))[0].split()
[uid] = ok(box.uid("SEARCH", None, "HEADER", "Subject", "Tree"))[0].split()
data = ok(box.fetch(number, "(UID FLAGS RFC822.SIZE BODY.PEEK[])"))
whole = data[0][1]
assert b"UID %s " % uid in data[0][0] and b"RFC822.SIZE %d " % len(whole) in data[0][0], data
assert b"\\Seen" not in data[0][0]
part = lambda spec: ok(box.fetch(number, "(%s)" % spec))[0]
assert part("BODY.PEEK[1]")[1] == b"plain\r\n", part("BODY.PEEK[1]")
assert part("BODY.PEEK[2.1.MIME]")[1] == b"Content-Type: text/html\r\n\r\n"
assert part("BODY.PEEK[2.1]")[1] == b"<b>"
assert part("BODY.PEEK[2]")[1].startswith(b"--in\r\n") and part("BODY.PEEK[2]")[1].endswith(b"--in--\r\nepilogue")
assert part("BODY.PEEK[3.HEADER]")[1] == b"Subject: inner\r\nTo: x@y.test\r\n\r\n"
assert part("BODY.PEEK[3.TEXT]")[1] == part("BODY.PEEK[3.1]")[1] == b"inside"
assert part("BODY.PEEK[HEADER.FIELDS (Subject X-Folded)]")[1] == b"Subject: tree\r\nX-Folded: a\r\n b\r\n\r\n"
assert b"Subject" not in part("BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)]")[1]
assert part("BODY.PEEK[]<10.20>")[1] == whole[10:30]
assert part("BODY.PEEK[TEXT]")[1] == whole[whole.index(b"\r\n\r\n") + 4:]
assert b"BODY[4] NIL" in part("BODY.PEEK[4]") and b"NIL" in part("BODY.PEEK[1.1]")
structure = part("BODYSTRUCTURE")
assert structure.count(b'"text" "html"') == 1 and b'"message" "rfc822"' in structure, structure
envelope = b"".join(b"".join(x) if isinstance(x, tuple) else x for x in ok(box.fetch(number, "ENVELOPE")))
assert b'(("=?utf-8?q?J=C3=B6rg?=" NIL "j" "x.test"))' in envelope, envelope
assert b'(NIL NIL "team" NIL)(NIL NIL "a" "x.test")(NIL NIL NIL NIL)' in envelope, envelope
assert b"\\Seen" in ok(box.fetch(number, "(BODY[1])"))[1]
assert ok(box.search(None, "SEEN"))[0].split() == [number]
assert ok(box.search("UTF-8", "FROM", '"J\u00f6rg"'.encode()))[0].split() == [number]

searches = {
    "ALL": count, "UNSEEN": count - 1, "NOT SEEN": count - 1, "OR SEEN ANSWERED": 1, "(SEEN)": 1,
    "1:*": count, "UID 1:%s" % uid.decode(): int(number), "BODY nowhere": 0, "TEXT plain SEEN": 1,
    "BEFORE 1-Jan-2000": 0, "SINCE 1-Jan-2000": count, "SENTON 31-Jan-2026": 1, "LARGER 100000000": 0,
    "SMALLER 100000000": count, "KEYWORD x": 0, "NEW": count - 1, "OLD": 0, "DRAFT": 0, "TO team SEEN": 1, "TO nobody": 0,
}
for keys, expected in searches.items():
    found = ok(box.search(None, keys))[0].split()
    assert len(found) == expected, (keys, found)
for wrong in ["NONSENSE", "BEFORE x", "OR SEEN", "1:"]: refused(box.search, None, wrong)

assert b"\\Flagged" in ok(box.store(number, "+FLAGS", r"(\Flagged \Answered)"))[0]
assert b"\\Answered" not in ok(box.uid("STORE", uid, "-FLAGS", r"\Answered"))[0]
assert ok(box.store(number, "FLAGS.SILENT", r"(\Seen \Draft)")) == [None]
assert b"(\\Draft \\Seen" in ok(box.fetch(number, "FLAGS"))[0]

# A second session is told, and sees the same UIDs.
other = imaplib.IMAP4_SSL("localhost", ports["imaps"], ssl_context=tls)
ok(other.login("alice", words["alice"]))
ok(other.select())
assert int(other.response("UIDVALIDITY")[1][0]) == validity
ok(box.copy("1:%d" % count, "Sent"))
refused(box.copy, "1", "none")
assert int(ok(other.status("Sent", "(MESSAGES)"))[0].split()[-1].rstrip(b")")) == count
ok(box.append("Sent", r"(\Seen)", imaplib.Time2Internaldate(1_000_000_000), b"Subject: x\r\n\r\nappended\r\n"))
refused(box.append, "none", "", None, b"x")
ok(other.select("Sent", readonly=True))
dated = ok(other.fetch(str(count + 1), "(INTERNALDATE FLAGS)"))[0]
assert b'" 9-Sep-2001 01:46:40 +0000"' in dated and b"\\Seen" in dated, dated
refused(other.store, "1", "+FLAGS", r"(\Deleted)")
ok(other.select("Sent"))
ok(other.store("1:2", "+FLAGS", r"(\Deleted)"))
assert sorted(ok(other.expunge())) == [b"1", b"2"]
assert int(ok(other.select("Sent"))[0]) == count - 1
ok(other.store("1", "+FLAGS", r"(\Deleted)"))
ok(other.close())
assert int(ok(other.select("Sent"))[0]) == count - 2

# IDLE, by hand: this imaplib has none.
idle = ssl.SSLSocket.makefile(tls.wrap_socket(socket.create_connection(("localhost", ports["imaps"])), server_hostname="localhost"), "rwb", buffering=0)
def until(mark):
    lines = []
    while True:
        line = idle.readline()
        assert line, lines
        lines.append(line)
        if mark in line: return lines
idle.write(b'a LOGIN {5+}\r\nalice "%s"\r\nb SELECT INBOX\r\nc IDLE\r\n' % words["alice"].encode())
until(b"+ idling")
import smtplib
with smtplib.SMTP("localhost", ports["smtp"]) as client: client.sendmail("a@b.test", "alice@localhost", "Subject: new\n\nx")
assert b"* %d EXISTS\r\n" % (count + 1) in until(b"RECENT")
ok(box.store(number, "+FLAGS", r"(\Deleted)"))
until(b"\\Deleted")
ok(box.expunge())
until(b"* %s EXPUNGE" % number)
idle.write(b"DONE\r\nd NOOP\r\n")
assert until(b"d OK")[0].startswith(b"c OK")
idle.write(b"e NONSENSE\r\nf FETCH 1\r\ng FETCH 1 (X)\r\nh SELECT \"x\r\ni APPEND INBOX {99999999}\r\n")
answers = until(b"i NO")
assert [line[:5] for line in answers] == [b"e BAD", b"f BAD", b"g BAD", b"h BAD", b"i NO "], answers
idle.write(b"z LOGOUT\r\n")
assert until(b"z OK")[0].startswith(b"* BYE") and idle.read() == b""

# UIDs are not used again.
ok(other.select())
assert uid not in ok(other.uid("SEARCH", None, "ALL"))[0].split()
assert [other.logout()[0], box.logout()[0]] == ["BYE", "BYE"]

# What comes behind STARTTLS in the same piece is not obeyed.
with socket.create_connection(("127.0.0.1", ports["imap"])) as s:
    s.sendall(b"a STARTTLS\r\nb NOOP\r\n")
    seen = b""
    while (more := s.recv(1000)): seen += more
    assert b"a OK" not in seen and b"b OK" not in seen and b"* BYE" in seen, seen
`;
