"""Launches into real Matrix rooms on a real server: what members see, and that the double tells the truth."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drumroll.channels.base import Attachment, Recipient, SendError
from drumroll.errors import DrumrollError
from drumroll.ledger.ledger import open_ledger
from tests.channel_messages import message
from tests.matrix_server import matrix_server
from tests.opened_channels import opened
from tests.prefect_server import prefect_server

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("matrix")]

ROOT = Path(__file__).parents[1]
ROOMS, MEMBERS, STEPS = 6, 50, 6
AT_ONCE = 2  # requests under way: so many messages are in doubt when the sender dies
CUT_OFF = 3  # the announcement that does not come through at once
EVERY = 4  # seconds
HEAD_START = timedelta(seconds=5)

LAUNCH = """\
drumroll: 1
name: matrix
title: A launch into rooms
locale: en
timezone: UTC
opens: "{opens}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}  # it runs whenever the test does
product: {{name: P, promise: p, result: r, price: 10, currency: USD}}
team: {{name: Team, staff: [{{name: Host, role: host, ids: [host]}}]}}
community:
  channels: {{rooms: {{kind: matrix, api: "{api}", token_env: BOT, concurrency: {at_once}, timeout: 5s}}}}
  groups:
{groups}
phases:
  recruit:
    goal: to come
    starts: T
    ends: T+{length}s
    steps:
{steps}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with matrix_server(tmp_path_factory.mktemp("synapse")) as server:
        yield server


def test_members_of_real_rooms_see_every_announcement_once_and_in_order_though_the_sender_was_killed(server, tmp_path):
    host, bot = server.register("host"), server.register("drumroll")
    rooms = [host.make_room(f"room-{number}") for number in range(ROOMS)]
    for room in rooms:
        bot.join(room)
    started = time.monotonic()
    with prefect_server(tmp_path) as environ, Crowd(server, rooms) as crowd, Run(tmp_path, environ, bot) as run:
        slow = time.monotonic() - started  # a command takes less; busy machines get time
        run.file = write_launch(tmp_path, server, rooms, opens_in=HEAD_START + timedelta(seconds=slow))
        run.patience += 2 * slow
        run.start()
        run.until(lambda: all(run.states(step) == {"sent": ROOMS} for step in range(1, CUT_OFF)))
        with server.hanging():
            run.until(lambda: run.states(CUT_OFF).get("sending") == AT_ONCE)
            time.sleep(1)  # a row is `sending` before its request leaves
            run.freeze()
        wait(
            lambda: len(announcements(host, rooms, bot)) == (CUT_OFF - 1) * ROOMS + AT_ONCE,
            "the server does them",
            run.patience,
        )
        run.kill()
        in_doubt = run.rows(CUT_OFF)
        run.start()
        assert run.wait() == 0, run.told()

    sent = run.rows()
    seen = {room: [event for event in crowd.members[0].read(room) if is_message(event, bot)] for room in rooms}
    print(json.dumps({"events": sum(map(len, seen.values())), "by members": crowd.done}))
    assert Counter(row.state for row in in_doubt) == {"sending": AT_ONCE, "due": ROOMS - AT_ONCE}
    assert {row.state for row in sent} == {"sent"}
    assert len(sent) == ROOMS * STEPS
    for number, room in enumerate(rooms):
        planned = sorted((row for row in sent if row.group == f"g{number}"), key=lambda row: row.due_at)
        assert [event["event_id"] for event in seen[room]] == [row.message_id for row in planned]
        assert [event["content"]["body"][:6] for event in seen[room]] == [f"No. 0{n}" for n in range(1, STEPS + 1)]
        assert {json.dumps(event["content"]["m.mentions"]) for event in seen[room]} == {"{}"}
    assert crowd.trouble == []
    assert min(crowd.done[what] for what in ("joins", "messages", "reactions")) >= MEMBERS


async def test_a_real_server_does_what_the_double_does(server):
    host, bot, other = (server.register(name) for name in ("hostess", "drum", "stranger"))
    room, closed, old = (host.make_room(name) for name in ("open", "closed", "old"))
    for each in (room, closed, old):
        bot.join(each)
    new = host.ask("POST", f"/rooms/{old}/upgrade", {"new_version": "11"})["replacement_room"]
    host.ask("PUT", f"/rooms/{closed}/state/m.room.power_levels", {"events_default": 50})

    def to(address, **changes):
        return message(recipient=Recipient("g", "The group", address), **changes)

    async with opened("matrix", {"BOT": bot.token}, api=server.url, token_env="BOT") as channel:
        first = await channel.send(to("#open:example.org"))
        assert await channel.send(to(room)) == first
        assert await channel.verify(None) == bot.user
        assert await channel.verify(to(room).recipient) == f"{bot.user} may post"

        file = Attachment("poster.png", bytes.fromhex("89504e470d0a1a0a"))
        await channel.send(to(room, key="drm_2", text="**Now** @room", format="markdown", attachments=(file,)))
        await channel.send(to(room, key="drm_3", text="開" * 10_000))
        await channel.send(to(room, key="drm_4", text="開" * 6_666, format="markdown"))
        refused = {}
        for address in ("!nowhere", "#nowhere:example.org", closed, old):
            refused[address] = await refusal(channel.send(to(address, key="drm_5")))
        unpinned = await refusal(channel.send(to(room, key="drm_6", text="Pin me.", pin=True)))
        for address, words in ((closed, "may not post"), (old, str(new)), ("!nowhere", "invite the account")):
            with pytest.raises(DrumrollError, match=words):
                await channel.verify(to(address).recipient)
        host.ask("PUT", f"/rooms/{room}/state/m.room.power_levels", {"users": {bot.user: 50}})
        pinned = await channel.send(to(room, key="drm_6", text="Pin me.", pin=True))
        assert await channel.verify(to(room).recipient) == f"{bot.user} may post, pin, mention everyone"
        server.limit(server.register("admin", admin=True), bot.user, per_second=1, burst=1)
        limited = None
        while limited is None:
            limited = await refusal(channel.send(to(room, key=f"drm_{time.monotonic_ns()}")))
        bot.ask("POST", "/logout", {})
        revoked = await refusal(channel.send(to(room, key="drm_7")))

    other.join(room)
    told = [event["content"] for event in other.read(room) if is_message(event, bot)]
    picture = told[1]
    assert (picture["msgtype"], picture["body"], picture["m.mentions"]) == ("m.image", "**Now** @room", {})
    assert picture["formatted_body"] == "<p><strong>Now</strong> @room</p>"
    assert [len(content["body"]) for content in told[2:4]] == [10_000, 6_666]
    assert [content["body"] for content in told].count("Pin me.") == 1
    state = f"/rooms/{room}/state/m.room.pinned_events"
    assert other.ask("GET", state) == {"pinned": [pinned.message_id]}
    assert {error.kind for error in refused.values()} == {"permanent"}
    assert "invite the account" in str(refused["!nowhere"])
    assert "address is right" in str(refused["#nowhere:example.org"])
    assert "let it post" in str(refused[closed])
    assert f"the address is now {new}" in str(refused[old])
    assert (unpinned.kind, "pin it by hand" in str(unpinned)) == ("ambiguous", True)
    assert limited.kind == "limited"
    assert 0 < limited.retry_after <= 1
    assert (revoked.kind, "the token was revoked" in str(revoked)) == ("permanent", True)


async def refusal(sending):
    """The error it ended in, None for a receipt."""
    try:
        await sending
    except SendError as error:
        return error
    return None


class Run:
    """`drumroll run FILE` as a process that can be killed and started again, and its ledger."""

    file, patience = None, 60.0

    def __init__(self, folder, environ, bot):
        self._url = f"sqlite:///{folder / 'ledger.db'}"
        self._environ = environ | {"BOT": bot.token, "DRUMROLL_PRIVATE_HOSTS": "127.0.0.1"}
        self._output = folder / "run.log"
        self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process is not None:
            self.kill()

    def start(self):
        command = [sys.executable, "-m", "drumroll.cli.main", "run", str(self.file), "--ledger", self._url]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(command, env=self._environ, stdout=output, stderr=output)

    def freeze(self):
        """It sees no answer from here on."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def wait(self):
        return self._process.wait(self.patience)

    def told(self):
        return self._output.read_text()

    def rows(self, step=None):
        ledger = open_ledger(self._url)
        found = [row for edition in ledger.editions() for row in ledger.deliveries(edition.id)]
        ledger.close()
        return [row for row in found if step is None or row.step == f"s{step}"]

    def states(self, step):
        return Counter(row.state for row in self.rows(step))

    def until(self, holds):
        def ended_or_holds():
            assert self._process.poll() is None, self.told()
            return holds()

        wait(ended_or_holds, self.told, self.patience)


class Crowd:
    """Fifty people who join, talk and react while announcements come in, one after the other in their own thread."""

    def __init__(self, server, rooms):
        self.done, self.trouble = Counter(), []
        self.members = [server.register(f"member-{number}") for number in range(MEMBERS)]
        self._rooms, self._dice = rooms, random.Random(20261122)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live)

    def __enter__(self):
        for room in self._rooms:
            self.members[0].join(room)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _live(self):
        while not self._over.is_set():
            for member in self.members:
                room = self._dice.choice(self._rooms)
                try:
                    member.join(room)
                    event = member.say(room, f"{member.user} is here")
                    member.react(room, event, "👏")
                except urllib.error.HTTPError as error:
                    self.trouble.append(error.read())
                self.done.update(joins=1, messages=1, reactions=1)
                self._over.wait(0.05)


def write_launch(folder, server, rooms, opens_in):
    for name in ("templates", "flows", "tasks"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "configs").mkdir()
    addresses = [*rooms[:-1], f"#room-{ROOMS - 1}:example.org"]
    groups = [f'    - {{id: g{n}, name: Room {n}, channel: rooms, address: "{a}"}}' for n, a in enumerate(addresses)]
    steps = [f"      - {{id: s{n}, at: T+{EVERY * (n - 1)}s, topic: item {n}}}" for n in range(1, STEPS + 1)]
    opens = (datetime.now(UTC) + opens_in).replace(microsecond=0)
    file = folder / "configs" / "matrix.yaml"
    written = LAUNCH.format(
        opens=f"{opens:%Y-%m-%d %H:%M:%S}",
        api=server.url,
        at_once=AT_ONCE,
        groups="\n".join(groups),
        length=EVERY * STEPS,
        steps="\n".join(steps),
    )
    file.write_text(written)
    return file


def announcements(reader, rooms, bot):
    return [event["event_id"] for room in rooms for event in reader.read(room) if is_message(event, bot)]


def is_message(event, sender):
    return (event["type"], event["sender"]) == ("m.room.message", sender.user)


def wait(holds, what, seconds):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(what() if callable(what) else what)
        time.sleep(0.1)
