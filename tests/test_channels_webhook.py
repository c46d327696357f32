"""The webhook channel against a real receiver that behaves and misbehaves."""

import asyncio
import gzip
import json
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from drumroll.channels.base import ChannelContext, SendError
from drumroll.channels.registry import parse_options
from drumroll.channels.standard_webhooks import signature, signing_key
from drumroll.channels.webhook import WebhookChannel
from drumroll.channels.webhook_answer import Answer, read_answer, retry_after_seconds
from drumroll.errors import DrumrollError
from tests.channel_messages import message, to_member
from tests.webhook_sink import WebhookSink, sink_process

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 12, 12, 4, 0, tzinfo=UTC)


@pytest.fixture
async def sink():
    async with WebhookSink() as running:
        yield running


async def outcome(url: str, *, environ: dict[str, str] | None = None, **options):
    """The receipt or the SendError of one send."""
    channel = WebhookChannel("main", WebhookChannel.Options(url=url, **options), ChannelContext(".", environ or {}))
    await channel.open()
    try:
        return await channel.send(message())
    except SendError as error:
        return error
    finally:
        await channel.close()


def judged(status: int, said: object = "", *, idempotent: bool = False, **rest) -> SendError:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    with pytest.raises(SendError) as caught:
        read_answer(
            Answer(status, body, rest.pop("retry_after", None)), key="k", who="x", idempotent=idempotent, **rest
        )
    return caught.value


# --- what goes out


async def test_the_payload_is_exactly_this(sink):
    await outcome(sink.url)
    assert sink.accepted[0]["payload"] == {
        "type": "drumroll.announcement",
        "timestamp": "2026-12-11T15:00:00.120Z",
        "data": {
            "key": "drm_0001",
            "edition": "demo@2026-12-12",
            "step": "eve",
            "occurrence": 0,
            "number": 3,
            "due": "2026-12-11T15:00:00Z",
            "sent_at": "2026-12-11T15:00:00.120Z",
            "group": "taipei",
            "member": None,
            "text": "Tonight at eight.",
            "address": "room-1",
        },
    }


def test_the_signature_is_the_published_one():
    body = b'{"test": 2432232314}'
    signed = signature(signing_key(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_signed_message_passes_the_receivers_own_check(sink):
    sink.secret = SECRET
    receipt = await outcome(sink.url, secret_env="S", environ={"S": SECRET})
    assert receipt.message_id == "rcv-1"
    assert sink.accepted[0]["verified"] is True


@pytest.mark.parametrize("environ", [None, {"S": "whsec_" + "A" * 32}])
async def test_an_unsigned_or_wrongly_signed_message_is_refused_for_good(sink, environ):
    sink.secret = SECRET
    error = await outcome(sink.url, environ=environ, **({"secret_env": "S"} if environ else {}))
    assert error.kind == "permanent"
    assert str(error).endswith("answered 401 (bad signature); check the secret on both sides")
    assert sink.accepted == []


async def test_no_more_requests_are_under_way_than_allowed(sink):
    sink.then = "slow:0.02"
    channel = WebhookChannel("main", WebhookChannel.Options(url=sink.url, concurrency=4), ChannelContext("."))
    await channel.open()
    await asyncio.gather(*(channel.send(message(f"k{n}")) for n in range(20)))
    await channel.close()
    assert sink.most_at_once == 4


async def test_a_key_that_would_break_a_header_never_leaves(sink):
    channel = WebhookChannel("main", WebhookChannel.Options(url=sink.url), ChannelContext("."))
    await channel.open()
    for key in ("a\r\nX-Evil: 1", "鍵", ""):
        with pytest.raises(SendError, match="does not fit a header"):
            await channel.send(message(key))
    await channel.close()
    assert sink.requests == 0


async def test_an_unopened_channel_sends_nothing():
    channel = WebhookChannel("main", WebhookChannel.Options(url="http://127.0.0.1:1/"), ChannelContext("."))
    with pytest.raises(SendError, match='channel "main" is not open'):
        await channel.send(message())


# --- what comes back


async def test_the_receivers_id_is_the_message_id(sink):
    assert (await outcome(sink.url)).message_id == "rcv-1"


@pytest.mark.parametrize(
    "body", ["", "ok", "[]", '{"id": null}', '{"id": true}', '{"id": ""}', '{"id": "a\\u0000b"}', "[" * 90000]
)
async def test_without_a_usable_id_the_key_is_the_message_id(sink, body):
    sink.then = f"body:{body}"
    assert (await outcome(sink.url)).message_id == "drm_0001"


async def test_a_body_without_end_is_read_no_further_than_needed(sink):
    sink.then = "endless"
    started = time.monotonic()
    assert (await outcome(sink.url)).message_id == "drm_0001"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ('{"errcode": 93000, "errmsg": "invalid webhook url"}', "permanent", "(93000 invalid webhook url)"),
        ('{"errcode": 45009, "errmsg": "api freq out of limit"}', "transient", "45009"),
        ('{"errcode": "130101"}', "transient", "130101"),
        ('{"ok": false, "error": "channel_not_found"}', "permanent", "channel_not_found"),
        ('{"ok": false, "error": "rate_limited"}', "permanent", "rate_limited"),
        ('{"ok": false, "error": "ratelimited"}', "transient", "ratelimited"),
        ('{"ok": false, "description": "Too Many Requests"}', "transient", "Too Many Requests"),
        ('{"error": "操作频率过高"}', "transient", "频率"),
        ('{"error": {"code": 5}}', "permanent", "with an error"),
        ('{"error": "cannot generate preview"}', "permanent", "generate"),
    ],
)
async def test_a_200_with_an_error_body_is_an_error(sink, body, kind, words):
    sink.then = f"body:{body}"
    error = await outcome(sink.url)
    assert (error.kind, words in str(error)) == (kind, True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_error_in_a_200_is_seen_however_its_json_is_written(encoding):
    assert judged(200, '{"errcode": 93000}'.encode(encoding)).kind == "permanent"


def test_an_id_of_any_length_is_kept():
    assert read_answer(Answer(200, b'{"id": %d}' % 2**64), key="k", who="x", idempotent=True).message_id == str(2**64)


@pytest.mark.parametrize(
    "body", ['{"errcode": 0, "errmsg": "ok"}', '{"ok": true}', '{"error": null}', '{"error": ""}', '{"errcode": "0"}']
)
async def test_a_200_that_denies_an_error_is_a_receipt(sink, body):
    sink.then = f"body:{body}"
    assert (await outcome(sink.url)).state == "sent"


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "see its log"),
        (401, "check the secret"),
        (403, "check the secret"),
        (404, "check the url"),
        (410, "get a new url"),
        (413, "too long"),
        (501, "see its log"),
    ],
)
async def test_a_refusal_is_permanent_and_names_the_remedy(sink, status, remedy):
    sink.then = str(status)
    error = await outcome(sink.url, idempotent=True)
    assert (error.kind, remedy in str(error)) == ("permanent", True)


@pytest.mark.parametrize("status", [408, 425, 429, 503])
async def test_what_the_receiver_did_not_take_is_transient(sink, status):
    sink.then = f"{status}:7"
    error = await outcome(sink.url)
    assert (error.kind, error.retry_after) == ("transient", 7.0)


@pytest.mark.parametrize("status", [500, 502, 504, 520, 599])
async def test_a_gateways_error_is_ambiguous_unless_the_receiver_drops_repeats(sink, status):
    sink.then = f"then-{status}"
    assert (await outcome(sink.url)).kind == "ambiguous"
    assert (await outcome(sink.url, idempotent=True)).kind == "transient"
    assert len(sink.accepted) == 2


async def test_a_redirect_is_not_followed(sink):
    async with WebhookSink() as elsewhere:
        sink.then = f"redirect:{elsewhere.url}"
        error = await outcome(sink.url)
        assert elsewhere.requests == 0
    assert (error.kind, "redirects are not followed" in str(error)) == ("permanent", True)


@pytest.mark.parametrize("mode", ["drop", "then-drop"])
async def test_a_connection_reset_after_the_request_is_ambiguous(sink, mode):
    """From here nobody can tell which of the two it was."""
    sink.then = mode
    error = await outcome(sink.url)
    assert (error.kind, "it may have arrived" in str(error)) == ("ambiguous", True)
    assert len(sink.accepted) == (mode == "then-drop")


async def test_a_reset_on_a_kept_connection_is_ambiguous_too(sink):
    sink.script = ["accept", "then-drop"]
    channel = WebhookChannel("main", WebhookChannel.Options(url=sink.url), ChannelContext("."))
    await channel.open()
    await channel.send(message("first"))
    with pytest.raises(SendError) as caught:
        await channel.send(message("second"))
    await channel.close()
    assert caught.value.kind == "ambiguous"


async def test_a_reset_is_repeated_under_the_same_key_where_repeats_are_dropped():
    async with WebhookSink(script=["then-drop", "accept"], honour_keys=True) as sink:
        assert (await outcome(sink.url, idempotent=True)).kind == "transient"
        assert (await outcome(sink.url, idempotent=True)).message_id == "rcv-1"
        assert len(sink.accepted) == 1


@pytest.mark.parametrize(("idempotent", "kind"), [(False, "ambiguous"), (True, "transient")])
async def test_silence_after_the_request_is_ambiguous(sink, idempotent, kind):
    sink.then = "then-slow:5"
    error = await outcome(sink.url, timeout=timedelta(seconds=0.3), idempotent=idempotent)
    assert (error.kind, "gave no answer for 0.3 s" in str(error)) == (kind, True)


async def test_a_request_still_waiting_for_its_turn_certainly_did_not_arrive(sink):
    sink.then = "slow:5"
    channel = WebhookChannel(
        "main", WebhookChannel.Options(url=sink.url, concurrency=1, timeout=timedelta(seconds=0.3)), ChannelContext(".")
    )
    await channel.open()
    errors = await asyncio.gather(*(channel.send(message(f"k{n}")) for n in range(3)), return_exceptions=True)
    await channel.close()
    kinds = [error.kind for error in errors]
    assert kinds.count("ambiguous") >= sink.requests >= 1  # what the receiver saw is in doubt, whoever got the turn
    assert "transient" in kinds


async def test_a_closed_port_certainly_took_nothing():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await outcome(f"http://127.0.0.1:{taken.getsockname()[1]}/x")
    assert (error.kind, "cannot be reached; check the url" in str(error)) == ("transient", True)


async def test_an_unknown_host_certainly_took_nothing():
    assert (await outcome("http://no-such-host.invalid/x")).kind == "transient"


async def test_a_door_that_never_opens_certainly_took_nothing():
    """A full backlog: the connection is never made, so the time runs out before a byte is sent."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for caller in waiting:
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        error = await outcome(f"http://127.0.0.1:{full.getsockname()[1]}/x", timeout=timedelta(seconds=0.3))
        for caller in waiting:
            caller.close()
    assert (error.kind, "let nobody in" in str(error)) == ("transient", True)


async def test_plain_http_behind_an_https_address_certainly_took_nothing(sink):
    assert (await outcome(sink.url.replace("http:", "https:"))).kind == "transient"
    assert sink.requests == 0


async def test_no_connection_is_kept_for_long(sink):
    """A kept connection that the receiver closes just as we write would make a send doubtful."""
    channel = WebhookChannel("main", WebhookChannel.Options(url=sink.url), ChannelContext("."))
    await channel.open()
    await channel.send(message("a"))
    assert channel._poster._session.connector._keepalive_timeout <= 4
    await channel.close()


async def test_a_refusal_stands_when_its_body_breaks_off():
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 500\r\n\r\n{"
    assert (await _raw_outcome(answer)).kind == "permanent"


async def test_an_acceptance_whose_body_breaks_off_is_ambiguous():
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"
    assert (await _raw_outcome(answer)).kind == "ambiguous"


async def test_an_answer_that_is_no_http_is_ambiguous():
    assert (await _raw_outcome(b"SSH-2.0-OpenSSH_9.6\r\n")).kind == "ambiguous"


async def test_a_packed_body_is_not_unpacked():
    packed = gzip.compress(b'{"id": "x"}' + b" " * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    assert (await _raw_outcome(head.encode() + packed)).message_id == "drm_0001"


# --- Retry-After


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("10072", 10072.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("1.5", 1.5),
        ("99999999999999999999", 10 * 365 * 86400.0),
        ("9" * 400, None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 10 * 365 * 86400.0),
        ("Sat, 12 Dec 2026 04:00:30 -0000", 30.0),
        ("Sat, 12 Dec 99999 04:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_stays_finite(header, seconds):
    assert retry_after_seconds(header, now=NOW) == seconds


def test_every_retry_after_can_be_added_to_a_date():
    longest = retry_after_seconds("1e300", now=NOW)
    assert NOW + timedelta(seconds=longest) > NOW


async def test_a_date_in_retry_after_comes_through(sink):
    at = datetime.now(UTC) + timedelta(seconds=60)
    sink.then = f"503:{format_datetime(at, usegmt=True)}"
    assert 55 < (await outcome(sink.url)).retry_after <= 60


# --- what is shown of the receiver's words


def test_the_receivers_words_come_short_printable_and_without_secrets():
    error = judged(200, {"error": "bad\x1b[2J\nkey s3cr3t " + "x" * 500}, secrets=("s3cr3t",))
    assert "bad [2J key … xxx" in str(error)
    assert len(str(error)) < 300
    assert str(error).isprintable()


def test_a_secret_is_blotted_out_before_the_text_is_cut():
    assert "s3c" not in str(judged(200, {"error": "x" * 197 + "s3cr3t"}, secrets=("s3cr3t",)))


async def test_only_the_host_of_an_address_is_shown(sink):
    sink.then = "404"
    error = await outcome(sink.url + "/T0000/B0000/hooktoken?key=querytoken")
    assert str(error) == f'channel "main": 127.0.0.1:{sink.port} answered 404; check the url'


# --- options and environment


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "exactly one of url and url_env"),
        ({"url": "https://a.example/", "url_env": "U"}, "exactly one of url and url_env"),
        ({"url": "ftp://a.example/"}, "not a web address"),
        ({"url": "file:///etc/passwd"}, "not a web address"),
        ({"url": "a.example/x"}, "not a web address"),
        ({"url": "http://"}, "not a web address"),
        ({"url": "http://[::1"}, "not a web address"),
        ({"url": "http://a.example:99999/"}, "not a web address"),
        ({"url": "http://a.example/\r\nx"}, "not a web address"),
        ({"url": "https://me:pw@a.example/"}, "holds no passwords"),
        ({"url_env": "https://a.example"}, "not the name of an environment variable"),
        ({"url": "https://a.example/", "secret_env": SECRET}, "not the name of an environment variable"),
        ({"url": "https://a.example/", "timeout": "0s"}, "greater than 0"),
        ({"url": "https://a.example/", "timeout": "1d"}, "less than or equal"),
        ({"url": "https://a.example/", "concurrency": 0}, "greater than or equal"),
    ],
)
def test_senseless_options_are_refused_without_quoting_them(wrong, words):
    with pytest.raises(ValidationError, match=words) as caught:
        parse_options("webhook", wrong)
    assert SECRET not in str(caught.value)
    assert "me:pw" not in str(caught.value)


def test_an_address_in_the_file_does_not_show_in_repr():
    assert "token" not in repr(WebhookChannel.Options(url="https://a.example/?key=token"))


@pytest.mark.parametrize("environ", [{}, {"U": ""}])
async def test_a_missing_variable_is_named_with_its_channel(environ):
    channel = WebhookChannel("main", WebhookChannel.Options(url_env="U"), ChannelContext(".", environ))
    with pytest.raises(DrumrollError, match='channel "main": environment variable U is not set; set it'):
        await channel.open()


@pytest.mark.parametrize("value", ["whsec_not base64!", "geheim-ü", "whsec_="])
async def test_a_useless_secret_is_refused_without_quoting_it(value):
    options = WebhookChannel.Options(url="http://127.0.0.1/", secret_env="S")
    channel = WebhookChannel("main", options, ChannelContext(".", {"S": value}))
    with pytest.raises(DrumrollError, match="variable S: not a signing secret") as caught:
        await channel.open()
    assert value not in str(caught.value)
    assert caught.value.__context__ is None


async def test_a_useless_address_in_the_environment_is_refused_without_quoting_it():
    channel = WebhookChannel("main", WebhookChannel.Options(url_env="U"), ChannelContext(".", {"U": "gopher://s3cr3t"}))
    with pytest.raises(DrumrollError, match="variable U: not a web address") as caught:
        await channel.open()
    assert "s3cr3t" not in str(caught.value)


# --- the sink as its own process


async def test_the_sink_runs_alone_and_logs_what_it_took(tmp_path: Path):
    log = tmp_path / "sink.jsonl"
    with sink_process(log, "--honour-keys", "--script", "503", "then-drop", secret=SECRET) as url:
        options = WebhookChannel.Options(url=url, secret_env="S", idempotent=True)
        channel = WebhookChannel("main", options, ChannelContext(".", {"S": SECRET}))
        await channel.open()
        for _ in range(2):
            with pytest.raises(SendError):
                await channel.send(to_member())
        assert (await channel.send(to_member())).message_id == "rcv-1"
        assert (await channel.send(message("drm_0002"))).message_id == "rcv-2"
        await channel.close()
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(entry["seq"], entry["id"], entry["verified"]) for entry in entries] == [
        (1, "drm_0001", True),
        (2, "drm_0002", True),
    ]
    assert entries[0]["payload"]["data"]["member"] == "u-7"


async def _raw_outcome(answer: bytes):
    """One send to a server that says exactly these bytes and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}}")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        return await outcome(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x")
