"""Launches of one instant: what they claim together, and that each still sends its own, once."""

import asyncio
import gc
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, new, take
from sqlalchemy import event

from drumroll.check import check_file
from drumroll.clock import current_clock
from drumroll.errors import LedgerBusyError, LedgerError
from drumroll.ledger.edition_lease import FencedError
from drumroll.ledger.ledger import Ledger, open_ledger
from drumroll.ledger.model import Settlement
from drumroll.ledger.sending import Wanted
from drumroll.operate.beats import Beat
from drumroll.operate.chorus import claim_in_chorus, speaking
from drumroll.operate.edition import Where
from drumroll.operate.edition import begin as begin_edition
from drumroll.operate.sending import send_step
from drumroll.operate.wording import make_ready
from tests.webhook_sink import sink_process

LATER = NOW + MINUTE
EDITIONS = [f"launch-{n}@2026-12-12" for n in range(3)]


@pytest.fixture
def server(postgres):
    """A ledger on PostgreSQL."""
    opened = open_ledger(postgres())
    yield opened
    opened.close()


def wish(ledger, edition, token=None, **changes):
    """An engine's view of the ledger, and what it wants of its edition."""
    token = token or ledger.take_lease(edition, owner="one", now=NOW, ttl=MINUTE)
    how = {"channel": "webhook", "plan_version": 1, "wording": "sha", "limit": 10} | changes
    wanted = Wanted(edition, "welcome", 1, now=LATER, lease=MINUTE, **how)
    return ledger.fenced(edition, token), wanted


def begun(ledger, *editions):
    for edition in editions:
        begin(
            ledger, new(group="g1"), new(group="g2", due=LATER), new(group="late", due=LATER + MINUTE), edition=edition
        )


def states(ledger, edition):
    return {row.group: row.state for row in ledger.deliveries(edition)}


# In the ledger.


def test_each_edition_gets_its_own_claims(server):
    begun(server, *EDITIONS)
    taken = server.claim_together([wish(server, edition) for edition in EDITIONS])
    assert [[claim.key for claim in claims] for claims in taken] == [
        [f"{edition}/welcome/1/g1", f"{edition}/welcome/1/g2"] for edition in EDITIONS
    ]
    assert {(claim.token, claim.attempts, claim.wording) for claims in taken for claim in claims} == {(1, 1, "sha")}
    assert {row.lease_until for row in server.deliveries(EDITIONS[0]) if row.state == "sending"} == {LATER + MINUTE}


def test_claims_made_together_are_those_made_alone(server):
    begun(server, *EDITIONS)
    wishes = [wish(server, edition, limit=1) for edition in EDITIONS[:2]]
    (one, _) = server.claim_together(wishes)
    ledger, _ = wish(server, EDITIONS[2])
    alone = ledger.claim(EDITIONS[2], "welcome", 1, now=LATER, limit=1, lease=MINUTE, wording="sha", channel="webhook")
    fields = ("recipient", "phase", "channel", "group", "member", "due_at", "fire_at", "token", "attempts", "wording")
    assert [[getattr(claim, name) for name in fields] for claim in one] == [
        [getattr(claim, name) for name in fields] for claim in alone
    ]


def test_however_many_claim_together_it_is_one_transaction(server):
    begun(server, *EDITIONS)
    wishes, commits = [wish(server, edition) for edition in EDITIONS], []
    event.listen(server.store.engine, "commit", commits.append)
    server.claim_together(wishes)
    assert len(commits) == 1


def brake(ledger, edition):
    ledger.set_brake(edition, by="Ann", reason="wrong price", now=NOW)


def overtake(ledger, edition):
    assert ledger.take_lease(edition, owner="two", now=LATER + MINUTE, ttl=MINUTE) == 2


def abort(ledger, edition):
    ledger.set_edition_state(edition, "aborted", now=NOW)


@pytest.mark.parametrize("stop", [brake, overtake, abort])
def test_what_may_not_send_claims_nothing_and_the_others_do(server, stop):
    begun(server, *EDITIONS)
    wishes = [wish(server, edition) for edition in EDITIONS]
    stop(server, EDITIONS[1])
    taken = server.claim_together(wishes)
    assert [len(claims) for claims in taken] == [2, 0, 2]
    assert states(server, EDITIONS[1])["g1"] == "due"


def test_a_changed_plan_claims_nothing(server):
    begun(server, *EDITIONS)
    wishes = [wish(server, EDITIONS[0]), wish(server, EDITIONS[1], plan_version=2)]
    assert [len(claims) for claims in server.claim_together(wishes)] == [2, 0]


@pytest.mark.parametrize("how", [{"released": True}, {"channel": None}, {"plan_version": None}])
def test_what_is_out_of_the_ordinary_is_left_for_a_claim_of_its_own(server, how):
    begun(server, *EDITIONS)
    wishes = [wish(server, edition) for edition in EDITIONS[:2]] + [wish(server, EDITIONS[2], **how)]
    assert [len(claims) for claims in server.claim_together(wishes)] == [2, 2, 0]


def test_what_another_is_claiming_at_the_moment_is_passed_by(server):
    begun(server, *EDITIONS)
    wishes = [wish(server, edition) for edition in EDITIONS]
    with server.store.engine.begin() as other:
        other.exec_driver_sql(f"SELECT id FROM delivery WHERE edition = '{EDITIONS[0]}' AND group_id = 'g1' FOR UPDATE")
        assert [len(claims) for claims in server.claim_together(wishes)] == [1, 2, 2]


def test_who_sets_a_brake_waits_for_what_is_claimed_together(server):
    """Once `pause` has returned, nothing more leaves."""
    begun(server, *EDITIONS)
    wishes, order = [wish(server, edition) for edition in EDITIONS], []

    def commit(_):
        other.start()
        other.join(0.3)
        order.append("claimed")

    other = threading.Thread(target=lambda: (brake(server, EDITIONS[0]), order.append("braked")))
    event.listen(server.store.engine, "commit", commit, once=True)
    server.claim_together(wishes)
    other.join()
    assert order == ["claimed", "braked"]


def test_on_sqlite_each_claims_alone(tmp_path):
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    begun(ledger, *EDITIONS)
    assert ledger.claim_together([wish(ledger, edition) for edition in EDITIONS]) == [[], [], []]


def test_a_settlement_with_more_to_come_is_written_like_any_other(ledger):
    begin(ledger, new(group="g1"), new(group="g2"))
    one, two = take(ledger)
    assert ledger.settle([Settlement(one, "sent", message_id="m-1")], now=LATER, more=True) == 1
    assert ledger.settle([Settlement(two._replace(token=9), "sent")], now=LATER, more=True) == 0
    assert [(row.state, row.message_id) for row in ledger.deliveries(EDITION)] == [("sent", "m-1"), ("sending", None)]


def test_only_that_transaction_does_not_wait_for_the_disk(server):
    begin(server, new())
    (claim,) = take(server)
    asked, seen = "SHOW synchronous_commit", []
    with server.store.read() as connection:
        before = connection.exec_driver_sql(asked).scalar()
        connection.exec_driver_sql(
            "SET synchronous_commit = on"
        )  # the tests' server has it off; this is its only connection
        connection.commit()
    event.listen(server.store.engine, "commit", lambda each: seen.append(each.exec_driver_sql(asked).scalar()))
    server.settle([Settlement(claim, "sent")], now=LATER, more=True)
    server.set_edition_state(EDITION, "done", now=LATER)
    assert (before, seen) == ("off", ["off", "on"])


# In the engine.


async def test_python_looks_rarely_for_garbage_only_while_somebody_speaks():
    usual = gc.get_threshold()
    with speaking():
        with speaking():
            pass
        assert gc.get_threshold() == (10_000, 10, 10) != usual
    assert gc.get_threshold() == usual


LAUNCH = """\
drumroll: 1
name: crowd
title: One of many
locale: en
timezone: UTC
opens: "{opens}"
quiet_hours: {{starts: "00:00", ends: "00:00"}}
product: {{name: P, promise: p, result: r, price: 10, currency: USD}}
team: {{name: Team, staff: [{{name: Host, role: host}}]}}
community:
  channels: {{out: {{kind: webhook, url: "{url}", concurrency: 2}}}}
  groups: [{{id: g1, name: G1, channel: out}}, {{id: g2, name: G2, channel: out}}, {{id: g3, name: G3, channel: out}}]
phases:
  recruit:
    goal: to come
    starts: T
    ends: T+1h
    steps:
      - {{id: first, at: T, kind: heads_up, template: first}}
"""
MANY = 5


@pytest.fixture(params=["sqlite", "postgresql"])
def crowd(request, tmp_path):
    """Launches that share an instant and a process, where each is, and what the receiver has noted."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "templates" / "en").mkdir(parents=True)
    (tmp_path / "templates" / "en" / "first.md.j2").write_text("Tonight at eight.")
    log = tmp_path / "sink.jsonl"
    url = f"sqlite:///{tmp_path}/l.db" if request.param == "sqlite" else request.getfixturevalue("postgres")()
    with sink_process(log) as sink:
        opens = datetime.now(UTC).replace(microsecond=0)
        file = tmp_path / "configs" / "crowd.yaml"
        file.write_text(LAUNCH.format(opens=f"{opens:%Y-%m-%d %H:%M:%S}", url=sink))
        plan, ledger, wheres = check_file(file).accepted(), open_ledger(url), []
        for n in range(MANY):
            edition = f"crowd-{n}@{opens:%Y-%m-%d}"
            begin_edition(plan.model_copy(update={"edition": edition}), ledger=ledger, rehearsal=False, now=opens)
            token = ledger.take_lease(edition, owner="one", now=opens, ttl=timedelta(hours=1))
            wheres.append(Where(edition, url, str(tmp_path), token))
        yield wheres, Beat("announce", opens, "first"), log
    ledger.close()


async def send_all(wheres, beat):
    readies = [make_ready(where, beat, now=datetime.now(UTC)) for where in wheres]
    sends = (send_step(where, ready, current_clock()) for where, ready in zip(wheres, readies, strict=True))
    return await asyncio.gather(*sends, return_exceptions=True)


def arrived(log):
    return sorted(json.loads(line)["payload"]["data"]["key"] for line in log.read_text().splitlines())


async def test_launches_of_one_instant_send_everything_once(crowd):
    wheres, beat, log = crowd
    for sent in await send_all(wheres, beat):
        assert dict(sent.states) == {"sent": 3}
    assert (len(arrived(log)), len(set(arrived(log)))) == (3 * MANY, 3 * MANY)


@pytest.mark.parametrize("crowd", ["postgresql"], indirect=True)
async def test_all_that_share_an_instant_claim_in_one_transaction(crowd, monkeypatch):
    wheres, beat, _ = crowd
    original, found = Ledger.claim_together, []

    def claim_together(self, wanted):
        found.append(original(self, wanted))
        return found[-1]

    monkeypatch.setattr(Ledger, "claim_together", claim_together)
    await send_all(wheres, beat)
    assert [len(claims) for claims in found[0]] == [2] * MANY


async def test_a_launch_that_was_overtaken_is_told_so_and_the_others_send(crowd):
    wheres, beat, log = crowd
    overtaken = wheres[2]
    soon = datetime.now(UTC) + timedelta(hours=2)
    assert open_ledger(overtaken.ledger).take_lease(overtaken.edition, owner="two", now=soon, ttl=timedelta(hours=1))
    readied = [
        where if where is not overtaken else Where(where.edition, where.ledger, where.project) for where in wheres
    ]
    readies = [make_ready(where, beat, now=datetime.now(UTC)) for where in readied]
    sends = (send_step(where, ready, current_clock()) for where, ready in zip(wheres, readies, strict=True))
    ended = await asyncio.gather(*sends, return_exceptions=True)
    assert [isinstance(each, FencedError) for each in ended] == [False, False, True, False, False]
    assert len(arrived(log)) == 3 * (MANY - 1)


async def test_who_has_given_up_by_then_claims_nothing(server):
    begun(server, *EDITIONS)
    wishes = [wish(server, edition) for edition in EDITIONS]
    asked = [asyncio.create_task(claim_in_chorus(*each)) for each in wishes]
    await asyncio.sleep(0)
    asked[1].cancel()
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) or len(each) for each in ended] == [2, True, 2]
    assert states(server, EDITIONS[1])["g1"] == "due"


@pytest.mark.parametrize("error", [LedgerBusyError, LedgerError])
async def test_where_they_cannot_claim_together_each_claims_alone(crowd, monkeypatch, error):
    wheres, beat, log = crowd

    def broken(*_):
        raise error("somebody else is writing")

    monkeypatch.setattr(Ledger, "claim_together", broken)
    for sent in await send_all(wheres, beat):
        assert dict(sent.states) == {"sent": 3}
    assert len(arrived(log)) == 3 * MANY
