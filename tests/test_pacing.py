"""Sending no faster than platforms allow: one platform's patience delays that platform and nothing else."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drumroll.capability import Rate
from drumroll.channels.telegram import TelegramChannel
from drumroll.check import check_file
from drumroll.clock import current_clock
from drumroll.errors import LedgerBusyError, LedgerError
from drumroll.ledger.ledger import Ledger, default_url, open_ledger
from drumroll.operate.beats import Beat
from drumroll.operate.edition import Where, begin, capabilities_of, deliveries_of
from drumroll.operate.pacing import Pace
from drumroll.operate.sending import send_step
from drumroll.operate.wording import make_ready
from tests.doubles.telegram import TelegramDouble

LAUNCH = """\
drumroll: 1
name: paced
title: Paced
locale: en
timezone: UTC
opens: "{opens}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}
product: {{name: P, promise: p, result: r, price: 10, currency: USD}}
team: {{name: Team, staff: [{{name: Host, role: host}}]}}
community:
  channels:
    bot: {{kind: telegram, token_env: TOKEN, api: "{api}"}}
    log: {{kind: file, path: out.jsonl}}
  groups:
{groups}
    - {{id: paper, name: Paper, channel: log}}
phases:
  recruit:
    goal: to come
    starts: T
    ends: T+1h
    steps: [{{id: first, at: T, kind: heads_up, template: first}}]
"""


@pytest.fixture
async def double():
    async with TelegramDouble(chats=[-1001 - n for n in range(30)]) as double:
        yield double


@pytest.fixture
def paced(tmp_path, double, monkeypatch):
    """Begin a launch into `groups` chats of the double: where it is, and its beat."""
    monkeypatch.setenv("TOKEN", "123:ABC")
    monkeypatch.setenv("DRUMROLL_PRIVATE_HOSTS", "127.0.0.1")

    def begun(groups, name="paced"):
        project = tmp_path / name
        (project / "configs").mkdir(parents=True)
        (project / "templates" / "en").mkdir(parents=True)
        (project / "templates" / "en" / "first.md.j2").write_text("Tonight at eight.")
        listed = "\n".join(
            f'    - {{id: g{n}, name: Group {n}, channel: bot, address: "{-1001 - n}"}}' for n in range(groups)
        )
        opens = datetime.now(UTC).replace(microsecond=0)
        text = LAUNCH.format(opens=f"{opens:%Y-%m-%d %H:%M:%S}", api=double.url, groups=listed)
        (project / "configs" / "paced.yaml").write_text(text)
        plan = check_file(project / "configs" / "paced.yaml").accepted()
        url = default_url(tmp_path)  # one ledger for all
        plan = plan.model_copy(update={"edition": f"{name}@{opens:%Y-%m-%d}"})
        begin(plan, ledger=open_ledger(url), rehearsal=False, now=opens)
        return Where(plan.edition, url, str(project)), Beat("announce", opens, "first")

    yield begun
    open_ledger(default_url(tmp_path)).close()


async def send(where, beat):
    return await send_step(where, make_ready(where, beat, now=datetime.now(UTC)), current_clock())


def rates(monkeypatch, *allowed):
    original = TelegramChannel.capability_for
    changed = staticmethod(lambda options: replace(original(options), rates=allowed))
    monkeypatch.setattr(TelegramChannel, "capability_for", changed)


def on_paper(where):
    return Path(where.project, "out.jsonl").read_text().splitlines()


def busiest(double, seconds):
    times = sorted(each["at"] for each in double.seen)
    return max(sum(first <= each < first + seconds for each in times) for first in times)


async def test_a_short_wait_is_waited_out_and_no_window_holds_more(paced, double, monkeypatch):
    rates(monkeypatch, Rate(5, 0.4))
    sent = await send(*paced(12))
    assert sent.states["sent"] == 13
    assert busiest(double, 0.4) == 5


async def test_what_waits_longer_is_tried_when_it_may_and_holds_nobody_up(paced, double, monkeypatch):
    rates(monkeypatch, Rate(5, 60))
    where, beat = paced(12)
    began = time.monotonic()
    sent = await send(where, beat)
    assert sent.states == {"sent": 6, "retry": 7}
    assert time.monotonic() - began < 2
    late = where.open().deliveries(where.edition, state="retry")
    assert {row.attempts for row in late} == {0}
    assert all(59 < (row.retry_at - beat.at).total_seconds() < 63 for row in late)
    assert late[0].error == "the platform takes 5 in 60 s"


async def test_a_refusal_for_hours_delays_that_platform_and_no_other(paced, double):
    double.then = "limited:10072"
    where, beat = paced(12)
    sent = await send(where, beat)
    assert sent.states["sent"] == 1  # the file
    assert len(on_paper(where)) == 1
    [(bucket, until, why)] = where.open().refusals(now=datetime.now(UTC))
    assert bucket.startswith("telegram:")
    assert abs((until - beat.at).total_seconds() - 10072) < 10
    assert "retry after 10072" in why
    late = where.open().deliveries(where.edition, state="retry")
    assert len(late) == 12
    assert all(row.retry_at > beat.at + timedelta(hours=2) for row in late)


async def test_after_a_refusal_nobody_knocks_again(paced, double):
    double.script = ["limited:600"]
    where, beat = paced(12)
    await send(where, beat)
    knocked = double.requests
    await send(where, beat)
    again, beat_again = paced(3, name="other")  # another launch with the same bot
    await send(again, beat_again)
    assert double.requests == knocked
    assert {row.state for row in again.open().deliveries(again.edition) if row.channel == "bot"} == {"retry"}


async def test_a_group_that_had_its_message_waits_and_the_others_do_not(paced, double, monkeypatch):
    rates(monkeypatch, Rate(1, 60, "group"))
    first, beat = paced(2, name="one")
    second, _ = paced(3, name="two")
    await send(first, beat)
    await send(second, beat)
    states = {row.group: row.state for row in second.open().deliveries(second.edition)}
    assert states == {"g0": "retry", "g1": "retry", "g2": "sent", "paper": "sent"}


async def test_launches_that_share_a_bot_share_its_rate(paced, double, monkeypatch):
    rates(monkeypatch, Rate(10, 60))
    launches = [paced(8, name=name) for name in ("one", "two")]
    for where, beat in launches:
        await send(where, beat)
    sent = [
        sum(row.state == "sent" and row.channel == "bot" for row in w.open().deliveries(w.edition)) for w, _ in launches
    ]
    assert (sum(sent), len(double.seen)) == (10, 10)


async def test_a_bad_group_never_holds_up_the_rest(paced, double):
    double.chats -= {-1003}
    where, beat = paced(12)
    sent = await send(where, beat)
    assert sent.states == {"sent": 12, "failed": 1}
    [failed] = where.open().deliveries(where.edition, state="failed")
    assert "Group 2" in failed.error


async def test_each_step_begins_with_another_group_so_that_nobody_is_always_last(paced):
    where, _ = paced(12)
    plan = where.plan()
    steps = [plan.steps[0].model_copy(update={"id": name}) for name in ("first", "second", "third", "fourth")]
    capabilities = capabilities_of(plan)
    orders = [[row.group for row in deliveries_of(plan, step, capabilities)] for step in steps]
    assert len({order[0] for order in orders}) > 1
    assert {frozenset(order) for order in orders} == {frozenset(plan.launch.group_ids())}


async def test_a_refusal_reaches_the_others_though_the_ledger_is_busy_for_a_moment(paced, double, monkeypatch):
    double.then = "limited:600"
    where, beat = paced(1)
    original, calls = Ledger.refuse, []

    def busy_at_first(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 1:
            raise LedgerBusyError("somebody else is writing")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Ledger, "refuse", busy_at_first)
    sent = await send(where, beat)
    assert sent.states == {"sent": 1, "retry": 1}
    assert len(where.open().refusals(now=datetime.now(UTC))) == 1


async def test_what_was_claimed_and_could_not_be_asked_for_is_given_back(paced, double, monkeypatch):
    where, beat = paced(3)

    async def fails(*_):
        raise LedgerError("broken")

    monkeypatch.setattr(Pace, "admit", fails)
    with pytest.raises(LedgerError, match="broken"):
        await send(where, beat)
    rows = where.open().deliveries(where.edition)
    assert {(row.state, row.attempts) for row in rows} == {("retry", 0)}
    assert double.seen == []
