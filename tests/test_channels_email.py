"""The e-mail channel against a mail server on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from drumroll.channels.base import Attachment, ChannelContext, Recipient, SendError
from drumroll.channels.email_letter import headline, mailbox
from drumroll.channels.registry import channel_class, parse_options
from drumroll.errors import DrumrollError
from tests.channel_messages import message
from tests.doubles.smtp import SmtpDouble, certificate
from tests.opened_channels import opened as opened_channel

TO = Recipient("taipei", "台北讀書會", "list@example.org")
PICTURE = Attachment("海報.png", b"\x89PNG\r\n.\r\n")
LOGIN = ("news@example.org", "correct horse")
MOMENT = timedelta(milliseconds=100)
ENVIRON = {"MAIL_USER": LOGIN[0], "MAIL_PASSWORD": LOGIN[1]}


def opened(double: SmtpDouble, environ: dict[str, str] = ENVIRON, **options: Any):
    login = {"user_env": "MAIL_USER", "password_env": "MAIL_PASSWORD"} if double.login else {}
    written = {"host": "127.0.0.1", "port": double.port, "security": "none", "from": "Club <news@example.org>"}
    return opened_channel("email", environ, **(written | login | options))


def to_group(text: str = "Tonight at eight.", **changes: Any):
    return message(text=text, **{"recipient": TO} | changes)


def to_address(address: str | None, **changes: Any):
    return to_group(recipient=Recipient("taipei", "台北讀書會", address), **changes)


async def sent(double: SmtpDouble, *args: Any, options: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    async with opened(double, **(options or {})) as channel:
        await channel.send(to_group(*args, **changes))
    return double.seen[-1]


async def outcome(double: SmtpDouble, *, patience: Any = "10s", to: Any = None, **options: Any) -> SendError:
    async with opened(double, timeout=patience, **options) as channel:
        with pytest.raises(SendError) as caught:
            await channel.send(to or to_group())
    return caught.value


@pytest.fixture
async def double() -> AsyncIterator[SmtpDouble]:
    async with SmtpDouble() as double:
        yield double


async def test_the_double_speaks_as_in_rfc_5321(double):
    double.unknown.add("Green@foo.com")
    reader, writer = await asyncio.open_connection("127.0.0.1", double.port)
    asked = [
        (b"", b"220"),
        (b"EHLO bar.com\r\n", b"250"),
        (b"MAIL FROM:<Smith@bar.com>\r\n", b"250 OK"),
        (b"RCPT TO:<Jones@foo.com>\r\n", b"250 OK"),
        (b"RCPT TO:<Green@foo.com>\r\n", b"550 5.1.1 No such user here"),
        (b"DATA\r\n", b"354"),
        (b"Blah blah blah...\r\n.\r\n", b"250"),
        (b"QUIT\r\n", b"221"),
    ]
    for said, expected in asked:
        writer.write(said)
        line = await reader.readline()
        while line[3:4] == b"-":
            line = await reader.readline()
        assert line.startswith(expected)
    writer.close()


async def test_the_receipt_carries_a_message_id_that_is_the_same_on_every_attempt(double):
    async with opened(double) as channel:
        receipts = [await channel.send(to_group()) for _ in range(2)]
    assert [receipt.message_id for receipt in receipts] == ["<drm_0001@example.org>"] * 2
    assert [seen["mail"]["Message-ID"] for seen in double.seen] == ["<drm_0001@example.org>"] * 2


async def test_the_headers_say_who_writes_to_whom_and_that_nobody_need_answer(double):
    mail = (await sent(double))["mail"]
    assert (mail["From"], mail["To"]) == ("Club <news@example.org>", "台北讀書會 <list@example.org>")
    assert (mail["Auto-Submitted"], mail["Date"].datetime.tzinfo is not None) == ("auto-generated", True)


async def test_answers_and_farewells_have_addresses_where_the_file_names_them(double):
    way_out = "https://example.org/leave/" + "x" * 200
    options = {"reply_to": "Desk <desk@example.org>", "list_unsubscribe": way_out}
    seen = await sent(double, options=options)
    assert seen["mail"]["Reply-To"] == "Desk <desk@example.org>"
    assert f"List-Unsubscribe: <{way_out}>\r\n".encode() in seen["raw"]


async def test_plain_text_arrives_as_text_alone(double):
    seen = await sent(double, "**no** <b>markup</b>\n.\n..dots")
    assert (seen["text"], seen["html"]) == ("**no** <b>markup</b>\n.\n..dots", None)


async def test_markdown_arrives_as_text_and_as_html(double):
    seen = await sent(double, "# Tonight\n\n**one** [here](https://a.example/?a=1&b=2)", format="markdown")
    assert seen["text"].startswith("# Tonight")
    assert "<strong>one</strong>" in seen["html"]
    assert '<a href="https://a.example/?a=1&amp;b=2">here</a>' in seen["html"]


async def test_html_in_markdown_is_text(double):
    seen = await sent(double, "<script>alert(1)</script> [x](javascript:alert(1))", format="markdown")
    assert "<script>" not in seen["html"]
    assert "javascript:" not in seen["html"].replace("[x](javascript:alert(1))", "")


async def test_a_mail_fits_lines_of_seven_bits(double):
    raw = (await sent(double, "今晚八點 " * 400 + "x" * 5000, attachments=(PICTURE,)))["raw"]
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998


async def test_attachments_arrive_with_their_names(double):
    other = Attachment("a\r\nBcc: x@y.example.pdf", b"%PDF")
    seen = await sent(double, attachments=(PICTURE, other))
    assert seen["files"] == {"海報.png": PICTURE.content, "a Bcc: x@y.example.pdf": b"%PDF"}
    assert seen["mail"]["Bcc"] is None


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("\n \n【公告03】 今晚開搶\n全文", "【公告03】 今晚開搶"),
        ("word " * 30, "word " * 14 + "word…"),
        ("字" * 100, "字" * 77 + "…"),
        ("歡迎 " + "字" * 100, "歡迎 " + "字" * 74 + "…"),
        ("x" * 78, "x" * 78),
        ("one\x07\ttwo", "one two"),
        (" \n ", "eve"),
    ],
)
def test_the_first_line_is_the_subject_and_is_shortened_at_a_word(text, subject):
    assert headline(to_group(text)) == subject


def test_a_subject_shows_no_markup():
    assert headline(to_group("# **Tonight** [here](https://a.example)\n\nmore", format="markdown")) == "Tonight here"


async def test_a_subject_in_the_file_stands_above_every_mail(double):
    assert (await sent(double, options={"subject": "讀書會"}))["subject"] == "讀書會"


async def test_names_and_subjects_bring_no_headers_in(double):
    evil = Recipient("g", "Club\r\nBcc: x@evil.example", "list@example.org")
    seen = await sent(
        double, "Hi\rBcc: y@evil.example\nall", recipient=evil, options={"subject": "S\nBcc: z@evil.example"}
    )
    assert seen["mail"]["Bcc"] is None
    assert seen["to"] == "list@example.org"


async def test_a_member_is_addressed_by_an_id_that_is_an_address(double):
    member = Recipient("taipei", "台北讀書會", "list@example.org", "mei@example.net", '小美" <boss@evil.example>')
    seen = await sent(double, recipient=member)
    assert (seen["to"], seen["mail"]["To"].addresses[0].addr_spec) == ("mei@example.net", "mei@example.net")


async def test_a_member_with_another_id_is_refused(double):
    error = await outcome(double, to=to_group(recipient=Recipient("taipei", "台北", "list@example.org", "u-7")))
    assert (error.kind, "member's id is not an e-mail address" in str(error)) == ("permanent", True)


async def test_a_refused_members_address_is_not_shown(double):
    double.then = "rcpt:550 5.1.1 <mei@example.net>: Recipient address rejected"
    error = await outcome(double, to=to_group(recipient=Recipient("taipei", "台北", None, "mei@example.net")))
    assert (error.kind, "mei" in str(error)) == ("permanent", False)


BAD = [None, "", "room-1", "a@b@c", "a b@example.org", "a@example.org\r\nRCPT TO:<x@y>", "a@", "@b", "A <a@b.c>"]


@pytest.mark.parametrize("address", [*BAD, "a,b@example.org", "a..b@example.org", "a@-b.example", f"{'x' * 65}@b.c"])
async def test_an_address_that_is_none_is_refused_before_anything_is_sent(double, address):
    error = await outcome(double, to=to_address(address))
    assert (error.kind, "台北讀書會" in str(error)) == ("permanent", True)
    assert double.connections == 0


@pytest.mark.parametrize(
    "address", ["a@example.org", "a.b+c_d@xn--fiq228c.example", "o'n@localhost", "小美@example.org"]
)
def test_usual_addresses_are_taken(address):
    assert mailbox(address) == address


async def test_an_address_beyond_ascii_needs_a_server_that_takes_it(double):
    error = await outcome(double, to=to_address("小美@example.org"))
    assert (error.kind, "SMTPUTF8" in str(error)) == ("permanent", True)
    async with SmtpDouble(smtputf8=True) as able, opened(able) as channel:
        await channel.send(to_address("小美@example.org"))
    assert (able.seen[0]["to"], "SMTPUTF8" in able.options) == ("小美@example.org", True)


REPLIES = [
    ("rcpt:550 5.1.1 No such user here", "permanent", "whether the address is right"),
    ("rcpt:450 4.2.0 Greylisted, come back later", "transient", "tried again"),
    ("rcpt:450 4.2.1 The user you are trying to contact is receiving mail too quickly.", "limited", "it waits"),
    ("rcpt:452 4.2.2 The email account that you tried to reach is over quota.", "transient", "tried again"),
    ("mail:553 5.7.1 Sender address rejected: not owned by user", "permanent", "may send as `from`"),
    ("mail:550 5.4.5 Daily user sending limit exceeded.", "limited", "it waits"),
    ("mail:530 5.7.0 Must issue a STARTTLS command first", "permanent", "security: starttls"),
    ("mail:530 5.7.0 Authentication Required", "permanent", "set `user_env`"),
    ("data:451 4.3.0 Mail server temporarily rejected message.", "transient", "tried again"),
    ("data:250 Gladly", "permanent", "does not speak SMTP"),
    ("data:drop", "transient", "before it had the mail"),
    ("end:421 Too many concurrent SMTP connections", "limited", "it waits"),
    ("end:454 Throttling failure: Maximum sending rate exceeded", "limited", "it waits"),
    ("end:451 4.7.1 Try again later", "transient", "tried again"),
    ("end:552 5.3.4 Message size exceeds fixed limit", "permanent", "attachments smaller"),
    ("end:552 5.2.2 Mailbox full", "permanent", "make room"),
    ("end:554 5.7.1 Message rejected under suspicion of SPAM", "permanent", "SPF and DKIM"),
    ("end:<html>Welcome to the hotel's network</html>", "ambiguous", "look into the mailbox"),
    ("end:354 Go on", "ambiguous", "look into the mailbox"),
    ("drop", "ambiguous", "broke off before it confirmed"),
    ("then-drop", "ambiguous", "broke off before it confirmed"),
]


@pytest.mark.parametrize(("word", "kind", "words"), REPLIES)
async def test_each_reply_ends_in_the_right_kind_and_names_the_group(double, word, kind, words):
    double.then = word
    error = await outcome(double)
    assert (error.kind, words in str(error), "台北讀書會" in str(error)) == (kind, True, True)


async def test_a_daily_limit_waits_an_hour_and_a_rate_as_long_as_usual(double):
    waits = []
    for double.then in ("mail:550 5.4.5 Daily user sending limit exceeded.", "end:454 Throttling failure"):
        waits.append((await outcome(double)).retry_after)
    assert waits == [3600.0, None]


async def test_a_group_that_gets_mail_too_quickly_holds_up_no_other(double):
    double.then = "rcpt:450 4.2.1 The user you are trying to contact is receiving mail too quickly."
    assert (await outcome(double)).group


async def test_a_server_that_hangs_over_a_mail_leaves_it_open(double):
    double.then = "then-slow:5"
    error = await outcome(double, patience=MOMENT)
    assert (error.kind, "did not confirm the mail for 0.1 s" in str(error)) == ("ambiguous", True)


async def test_a_server_that_never_greets_has_nothing(double):
    double.greeting = "silence"
    error = await outcome(double, patience=MOMENT)
    assert (error.kind, "let nobody in for 0.1 s" in str(error)) == ("transient", True)


@pytest.mark.parametrize(
    ("greeting", "kind", "words"),
    [
        ("554 5.7.1 No mail from there", "permanent", "from this machine"),
        ("421 4.7.0 Try again later", "transient", "tried again"),
        ("HTTP/1.1 400 Bad Request", "permanent", "does not speak SMTP"),
    ],
)
async def test_a_greeting_that_lets_nobody_in_is_told(double, greeting, kind, words):
    double.greeting = greeting
    error = await outcome(double)
    assert (error.kind, words in str(error)) == (kind, True)


async def test_a_closed_port_is_tried_again(double):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await outcome(double, port=taken.getsockname()[1])
    assert (error.kind, "cannot be reached" in str(error)) == ("transient", True)


async def test_a_mail_over_the_servers_size_is_not_even_offered():
    async with SmtpDouble(size=2000) as small:
        error = await outcome(small, to=to_group("x" * 3000))
        assert (error.kind, "takes mails of up to 2,000 bytes" in str(error)) == ("permanent", True)
        assert (small.options, small.requests) == ([], 0)


async def test_a_login_is_made_once_for_many_mails():
    async with SmtpDouble(login=LOGIN) as double, opened(double) as channel:
        for number in range(5):
            await channel.send(to_group(f"{number}"))
        assert (len(double.seen), double.connections) == (5, 1)


async def test_a_wrong_password_is_told_and_never_shown():
    async with SmtpDouble(login=LOGIN) as double:
        error = await outcome(double, environ=ENVIRON | {"MAIL_PASSWORD": "CANARYpassword"})
    assert (error.kind, "check the user name and the password" in str(error)) == ("permanent", True)
    assert "CANARY" not in str(error)


async def test_a_server_without_logins_is_told(double):
    error = await outcome(double, user_env="MAIL_USER", password_env="MAIL_PASSWORD")
    assert (error.kind, "535" in str(error) or "log in" in str(error)) == ("permanent", True)


async def test_a_missing_password_is_named_when_the_channel_opens():
    async with SmtpDouble(login=LOGIN) as double:
        with pytest.raises(DrumrollError, match="MAIL_PASSWORD"):
            async with opened(double, {"MAIL_USER": "x"}):
                pass


async def test_connections_are_no_more_than_asked_for(double):
    async with opened(double, concurrency=2) as channel:
        await asyncio.gather(*(channel.send(to_group(f"{number}")) for number in range(10)))
    assert (len(double.seen), double.most_at_once) == (10, 2)


async def test_a_connection_that_the_server_closed_meanwhile_is_made_anew(double):
    async with opened(double) as channel:
        await channel.send(to_group("one"))
        double.hang_up()
        await asyncio.sleep(0.01)
        await channel.send(to_group("two"))
    assert [seen["text"] for seen in double.seen] == ["one", "two"]


async def test_a_refused_mail_does_not_spoil_the_next(double):
    double.script = ["end:554 5.7.1 Message rejected"]
    async with opened(double) as channel:
        with pytest.raises(SendError):
            await channel.send(to_group("one"))
        await channel.send(to_group("two"))
    assert ([seen["text"] for seen in double.seen], double.connections) == (["two"], 1)


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_an_encrypted_connection_carries_mails(tmp_path, monkeypatch, security):
    context, trusted = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with SmtpDouble(**{security: context}) as double, opened(double, security=security) as channel:
        await channel.send(to_group())
    assert len(double.seen) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_told(tmp_path, security):
    context, _ = certificate(tmp_path, "127.0.0.1")
    async with SmtpDouble(**{security: context}) as double:
        error = await outcome(double, security=security)
    assert (error.kind, "certificate that does not verify" in str(error)) == ("permanent", True)


async def test_a_server_that_does_not_encrypt_gets_nothing(double):
    error = await outcome(double, security="starttls")
    assert (error.kind, "does not encrypt on this port" in str(error)) == ("permanent", True)
    assert double.requests == 0


async def test_tls_at_a_port_without_it_is_told(double):
    error = await outcome(double, security="tls")
    assert (error.kind, "security: starttls" in str(error)) == ("permanent", True)


@pytest.mark.parametrize(
    "options",
    [
        {"user_env": "MAIL_USER"},
        {"user_env": "A", "password_env": "B", "security": "none"},
        {"from": "nobody"},
        {"from": "a@example.org\nBcc: x@y.example"},
        {"reply_to": "a b@example.org"},
        {"host": "smtp.example.org/x"},
        {"list_unsubscribe": "https://a.example/>\r\nBcc: x@y.example"},
    ],
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ValidationError):
        parse_options("email", {"host": "smtp.example.org", "from": "a@example.org"} | options)


async def test_verify_logs_in_and_sends_nothing():
    async with SmtpDouble(login=LOGIN) as double, opened(double) as channel:
        assert await channel.verify(None) == "it lets us in, and takes mails of up to 32 MB"
        assert await channel.verify(TO) == "the server takes mail for it"
        assert (double.requests, double.seen) == (0, [])


async def test_verify_finds_an_address_that_is_gone(double):
    async with opened(double) as channel:
        with pytest.raises(DrumrollError, match="whether the address is right"):
            await channel.verify(Recipient("taipei", "台北", "gone@example.org"))


async def test_one_login_pays_for_all_its_groups_and_no_other(double):
    async with opened(double) as one, opened(double, **{"from": "other@example.org"}) as other:
        assert one.bucket(TO) == one.bucket(Recipient("b", "B", "b@example.org")) != other.bucket(TO)
        assert "news" not in one.bucket(TO)


async def test_a_key_that_fits_no_header_is_refused(double):
    error = await outcome(double, to=message("drm 1>\r\n", recipient=TO))
    assert (error.kind, "Message-ID" in str(error)) == ("permanent", True)


async def test_loopback_is_called_only_where_the_operator_allows_it(double):
    written = {"host": "127.0.0.1", "port": double.port, "security": "none", "from": "news@example.org"}
    channel = channel_class("email")("main", parse_options("email", written), ChannelContext(".", {}))
    await channel.open()
    with pytest.raises(SendError, match="DRUMROLL_PRIVATE_HOSTS") as caught:
        await channel.send(to_group())
    await channel.close()
    assert (caught.value.kind, double.connections) == ("permanent", 0)
