"""A canary in every secret of a launch with every kind of channel is found nowhere, whatever the platforms answer."""

import asyncio
import base64
import json
import logging
import shutil
import traceback
from pathlib import Path

import pytest
from aiohttp import web

from drumroll.channels.base import Recipient
from drumroll.check import check_file
from drumroll.clock import VirtualClock
from drumroll.ledger.ledger import default_url
from drumroll.operate.beats import Beat, enter
from drumroll.operate.edition import Where, begin
from drumroll.operate.open_channels import OpenChannels
from tests.channel_messages import message
from tests.driver import say
from tests.launch_files import drumroll
from tests.test_channel_contract import CANARY, HARNESSES, DoubleHarness

_BASE64 = {base64.b64encode(b"." * pad + CANARY.encode()).decode()[4:16] for pad in range(3)}
"""The middle of what the canary becomes inside of a base64 text, wherever it begins."""
TRACES = {CANARY, *_BASE64, "accesstoken0"}  # the last is what the canary buys at WeCom

ROOT = Path(__file__).parents[1]

LAUNCH = """\
drumroll: 1
name: canary
title: A launch that must not sing
locale: en
timezone: UTC
opens: "2027-03-20 12:00"
product: {{name: Lamp, promise: it lights, result: you read, price: 10, currency: USD}}
team: {{name: Team, staff: [{{name: Ann, role: operator, ids: [ann]}}]}}
community:
  channels: {channels}
  groups: {groups}
  staff_groups: {staff}
phases:
  recruit:
    goal: people
    starts: D-12 08:00
    ends: D 08:00
    steps:
{steps}
"""
TEXTS = ["accepted", "refused", "hasty", "odd", "page", "forbidden", "moved", "broken", "dropped"]
PICTURES = ["picture-accepted", "picture-refused", "picture-page"]

# What a platform's refusal looks like, and its call for a pause, as tests/doubles have them from the documentation.
_ERRORS = {
    "apprise": ((401, {"error": "{}"}), (429, {"error": "{}"})),
    "dingtalk": ((200, {"errcode": 300005, "errmsg": "{}"}), (200, {"errcode": 130101, "errmsg": "{}"})),
    "discord": (
        (401, {"message": "{}", "code": 50027}),
        (429, {"message": "{}", "retry_after": 0.3, "global": False}),
    ),
    "feishu": ((200, {"code": 19001, "data": {}, "msg": "{}"}), (200, {"code": 11232, "data": {}, "msg": "{}"})),
    "matrix": (
        (401, {"errcode": "M_UNKNOWN_TOKEN", "error": "{}"}),
        (429, {"errcode": "M_LIMIT_EXCEEDED", "error": "{}", "retry_after_ms": 300}),
    ),
    "slack": (
        (200, {"ok": False, "error": "invalid_auth", "response_metadata": {"messages": ["{}"]}, "needed": "{}"}),
        (429, {"ok": False, "error": "ratelimited", "detail": "{}"}),
    ),
    "telegram": (
        (401, {"ok": False, "error_code": 401, "description": "Unauthorized: {}"}),
        (429, {"ok": False, "error_code": 429, "description": "{}", "parameters": {"retry_after": 1}}),
    ),
    "webhook": ((400, {"error": "{}"}), (429, {"error": "{}"})),
    "wecom_customer_group": ((200, {"errcode": 48002, "errmsg": "{}"}), (200, {"errcode": 45009, "errmsg": "{}"})),
    "wecom_robot": ((200, {"errcode": 93000, "errmsg": "{}"}), (200, {"errcode": 45009, "errmsg": "{}"})),
}


class Platforms:
    """Every harness started, and one mood in which all platforms answer every request, asked by whatever call."""

    def __init__(self, folder, capsys, monkeypatch):
        self.harnesses = {kind: harness(folder, capsys) for kind, harness in HARNESSES.items()}
        self.options: dict[str, dict[str, object]] = {}
        self.mood = "accepted"
        self._monkeypatch = monkeypatch

    async def __aenter__(self):
        self._monkeypatch.setattr(web, "Application", self._application)
        self._starting = ""
        for kind, harness in self.harnesses.items():
            self._starting = kind
            await harness.start()
            self.options[kind] = self._with_own_variables(harness)
        self._monkeypatch.setenv("DRUMROLL_PRIVATE_HOSTS", "127.0.0.1")
        return self

    async def __aexit__(self, *_):
        for harness in self.harnesses.values():
            await harness.stop()

    def be(self, mood):
        self.mood = mood
        moods = {"accepted": "accept", "dropped": "end:421 4.3.2 {}", "hasty": "end:450 4.2.1 {}"}
        self.harnesses["email"].double.then = moods.get(mood, "rcpt:550 5.1.1 {}").format(_quoted())

    def _with_own_variables(self, harness):
        written = harness.written()
        for name in [name for name in written if name.endswith("_env")]:
            variable = f"{harness.kind}_{written[name]}".upper()
            self._monkeypatch.setenv(variable, harness.environ[written[name]])
            written[name] = variable
        return written

    def _application(self, *given, _real=web.Application, **more):
        kind = self._starting

        @web.middleware
        async def in_a_mood(request, handler):
            if self.mood == "accepted" or request.path.endswith("gettoken"):
                return await handler(request)
            return await self._answer(kind, request)

        return _real(*given, middlewares=[in_a_mood], **more)

    async def _answer(self, kind, request):
        quoted = _quoted(request.path_qs, str(request.headers.get("Authorization")))
        (status, refusal), (pause, call_for_it) = _ERRORS[kind]
        await request.read()
        match self.mood:
            case "refused":
                return web.Response(status=status, text=_filled(refusal, quoted), content_type="application/json")
            case "hasty":
                return web.Response(status=pause, text=_filled(call_for_it, quoted), content_type="application/json")
            case "odd":
                strange = dict.fromkeys([*refusal, "migrate_to_chat_id", "parameters"], quoted) | {"ok": False}
                return web.json_response(strange, status=status)
            case "page":
                return web.Response(text=f"<html>{quoted}</html>", content_type="text/html")
            case "forbidden":
                return web.Response(status=403, text=f"<html>{quoted}</html>", content_type="text/html")
            case "moved":
                return web.Response(status=302, headers={"Location": f"http://127.0.0.1:9/{CANARY}?{CANARY}"})
            case "broken":
                return web.json_response({"error": quoted, "message": quoted}, status=500)
        request.transport.abort()
        return web.Response(status=499)


def _quoted(*more):
    """As a careless server quotes what it was given."""
    return " ".join([f"bad token '{CANARY}' in Bearer {CANARY}, user:{CANARY}@host", *more])


def _filled(body, words):
    return json.dumps(body).replace("{}", json.dumps(words)[1:-1])


def traces(of):
    """Which forms of the canary are in it, each with what stands around it."""
    text = of if isinstance(of, str) else of.decode("utf-8", "replace")
    return {trace: text[max(0, text.index(trace) - 200) : text.index(trace) + 60] for trace in TRACES if trace in text}


async def told_by(calling):
    """The whole traceback of what goes wrong, or what came back."""
    try:
        return repr(await calling)
    except Exception as error:  # noqa: BLE001 - an answer that nobody thought of must not be quoted either
        return "".join(traceback.format_exception(error)) + repr(error)


@pytest.fixture
async def platforms(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DRUMROLL_LEDGER", raising=False)
    async with Platforms(tmp_path, capsys, monkeypatch) as platforms:
        yield platforms


@pytest.fixture
def launch(platforms, tmp_path, monkeypatch):
    """The launch file, with a group and a staff group behind each kind's channel."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    templates = tmp_path / "templates" / "en" / "recruit"
    templates.mkdir(parents=True)
    (templates / "prompt.md.j2").write_text("Who is here?\n")
    shutil.copytree(ROOT / "templates" / "pages", tmp_path / "templates" / "pages")
    (tmp_path / "sign.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 64)
    channels = {kind: {"kind": kind, **options} for kind, options in platforms.options.items()}
    groups, staff = [], []
    for kind, harness in platforms.harnesses.items():
        at = {"address": harness.address} if harness.address else {}
        groups.append({"id": kind, "name": f"Room {kind}", "channel": kind, **at})
        if kind == "email":
            staff.append({"id": "desk", "name": "Desk", "channel": kind, "address": "desk@example.org"})
    may = [kind for kind, harness in platforms.harnesses.items() if harness.build().capability.attachments]
    lines = [f"      - {{id: {name}, kind: prompt, at: D-{12 - day} 10:00}}" for day, name in enumerate(TEXTS)]
    for hour, name in enumerate(PICTURES, 1):
        to = [kind for kind in may if kind != "wecom_customer_group" or hour == 1]
        lines.append(
            f"      - {{id: {name}, kind: prompt, at: 'D-2 {10 + 3 * hour}:00', attach: [sign.png], to: {json.dumps(to)}}}"
        )
    file = tmp_path / "configs" / "canary.yaml"
    parts = {"channels": json.dumps(channels), "groups": json.dumps(groups), "staff": json.dumps(staff)}
    file.write_text(LAUNCH.format(steps="\n".join(lines), **parts))
    return file


async def sent(where, step, clock):
    await clock.sleep_until(where.plan().step(step).due)
    return await say(where, Beat("announce", clock.now(), step, 1), clock)


async def test_the_canary_is_nowhere(platforms, launch, tmp_path, caplog, capsys, monkeypatch):
    caplog.set_level(logging.DEBUG)
    plan = check_file(launch).accepted()
    where = Where(plan.edition, default_url(tmp_path), str(tmp_path))
    clock = VirtualClock(plan.phases[0].starts)
    begin(plan, ledger=where.open(), rehearsal=False, now=clock.now())
    enter(where, "recruit")
    became = {}
    for step in (*TEXTS, *PICTURES):
        platforms.be(step.removeprefix("picture-"))
        became[step] = (await sent(where, step, clock)).states
    ledger = where.open()
    assert {row.state for row in ledger.deliveries(where.edition) if row.step == "accepted"} == {"sent", "awaiting"}
    refused = [row for row in ledger.deliveries(where.edition) if row.step == "refused" and row.error]
    assert {row.channel for row in refused} == set(HARNESSES) - {"console", "file", "hand_off"}, became

    shown = {}
    for mood in ("accepted", "refused", "odd", "page", "dropped"):
        platforms.be(mood)
        shown[f"doctor {mood}"] = await asyncio.to_thread(drumroll, "doctor", launch, "--channels", "--json")
    platforms.be("refused")
    shown["test-send"] = await asyncio.to_thread(
        drumroll, "test-send", launch, "accepted", "--to", "desk", "--by", "Ann"
    )
    for arguments in (
        ("status",),
        ("status", "--json"),
        ("status", "canary", "--json"),
        ("deliveries", "canary", "--json"),
        ("deliveries", "canary"),
        ("today", "canary", "--json"),
        ("metrics", "canary", "--json"),
        ("check", launch, "--json"),
        ("plan", launch, "--json"),
        ("report", "canary", "--out", tmp_path / "report.html"),
        ("report", "canary", "--json"),
    ):
        shown[" ".join(map(str, arguments))] = await asyncio.to_thread(drumroll, *arguments)
    assert len(shown["doctor accepted"].out) > 1000
    assert "Room slack" in shown["doctor refused"].out
    assert (tmp_path / "report.html").stat().st_size > 1000
    for what, ran in shown.items():
        assert traces(ran.out + ran.err) == {}, what
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or traces(path.read_bytes()) == {}, path
    assert (tmp_path / ".drumroll" / "ledger.db-wal").exists()
    out = capsys.readouterr()
    assert traces(out.out + out.err + caplog.text) == {}
    assert traces(" ".join(str(vars(record)) for record in caplog.records)) == {}
    where.open().close()


@pytest.mark.parametrize("mood", [mood for mood in TEXTS if mood != "accepted"])
async def test_no_traceback_has_it(platforms, launch, mood):
    plan = check_file(launch).accepted()
    channels = OpenChannels(plan, ".")
    groups = {group.channel: Recipient(group.id, group.name, group.address) for group in plan.launch.community.groups}
    for kind in (kind for kind, harness in HARNESSES.items() if issubclass(harness, DoubleHarness)):
        channel, to = await channels.get(kind), groups[kind]
        platforms.be(mood)
        for calling in (channel.send(message(recipient=to)), channel.verify(to), channel.verify(None)):
            assert traces(await told_by(calling)) == {}, kind
    await channels.close()


async def test_a_secret_that_is_no_good_is_not_quoted(platforms, launch, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    plan = check_file(launch).accepted()
    for kind, options in platforms.options.items():
        for variable in [value for name, value in options.items() if name.endswith("_env")]:
            monkeypatch.setenv(variable, f"\x01 {CANARY}\n{{{CANARY}")
        channels = OpenChannels(plan, ".")
        assert traces(await told_by(channels.get(kind))) == {}, kind
        await channels.close()
    assert traces(caplog.text) == {}


def test_the_canary_would_be_found():
    for pad in range(3):
        encoded = base64.b64encode(b"x" * pad + f"user:{CANARY}".encode()).decode()
        assert traces(encoded), pad
    assert traces(f"a {CANARY} b".encode())
    assert traces("nothing") == {}
