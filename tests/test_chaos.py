"""The fault harness: its accounting on made-up ledgers, and short storms that the program survives and mutants do not."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drumroll.ledger.model import DeliveryRow, delivery_key, idempotency_key
from tests.chaos.__main__ import main
from tests.chaos.account import Taken, account, promised
from tests.chaos.launches import write_launch
from tests.chaos.mutants import MUTANTS
from tests.chaos.points import freeze_me
from tests.chaos.processes import fork

ROOT = Path(__file__).parents[1]
SINKS = {"keyed": "http://127.0.0.1:9/a", "keyless": "http://127.0.0.1:9/b"}


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    return write_launch(tmp_path_factory.mktemp("storm"), 0, 1, SINKS, head_start=60)


@pytest.fixture(scope="module")
def promise(launch):
    return promised(launch.plan, launch.members, {})


def row(key, state="sent", *, error=None):
    edition, step, occurrence, recipient = key.split("/", 3)
    group, _, member = recipient.partition("/")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return DeliveryRow(
        1, edition, step, int(occurrence), recipient, "recruit", group.rpartition("-")[0].replace("by", "by_hand"),
        group, member or None, at, at, state, 1, None, 1, None, None, None, error, None, None, None,
    )  # fmt: skip


def took(launch, key, *, late=timedelta(0), request=None):
    due = launch.plan.step(key.split("/")[1]).due
    return Taken(key, request or idempotency_key(key), key.split("/")[1], due, due + late)


def settled(launch, promise, changed, extra=(), *, untaken=()):
    """The account when all went well but for `changed` rows, `extra` arrivals and what no sink took."""
    rows = [changed.get(key, row(key)) for key in sorted(promise)]
    taken = [took(launch, key) for key in promise if "/by-hand" not in key and key not in untaken]
    return account(launch.plan, promise, [each for each in rows if each], [*taken, *extra])


@pytest.fixture
def key(launch):
    return delivery_key(launch.plan.edition, "r3", 1, "keyless-1")


def test_a_launch_that_arrived_whole_has_nothing_wrong(launch, promise):
    found = settled(launch, promise, {})
    assert (found.planned, found.sent) == (len(promise), len(promise))
    assert [found.lost, found.duplicate, found.phantom, found.stale, found.unknown] == [[], [], [], [], []]


@pytest.mark.parametrize("state", ["due", "retry", "sending"])
def test_what_never_came_to_an_end_is_lost(launch, promise, key, state):
    assert settled(launch, promise, {key: row(key, state)}, untaken={key}).lost == [key]


def test_a_promise_without_a_row_is_lost(launch, promise, key):
    assert settled(launch, promise, {key: None}, untaken={key}).lost == [key]


def test_what_the_ledger_calls_sent_and_no_sink_took_is_lost(launch, promise, key):
    assert settled(launch, promise, {}, untaken={key}).lost == [key]


def test_what_was_taken_twice_is_a_duplicate_even_under_another_request_key(launch, promise, key):
    again = [took(launch, key), took(launch, key, request="drm_else")]
    assert settled(launch, promise, {}, again).duplicate == [key, key]


@pytest.mark.parametrize("state", ["due", "retry", "held", "skipped", "cancelled", "failed"])
def test_what_arrived_though_the_ledger_says_that_nobody_got_it_is_a_phantom(launch, promise, key, state):
    assert settled(launch, promise, {key: row(key, state)}).phantom == [key]


def test_what_arrived_and_was_never_promised_is_a_phantom(launch, promise, key):
    stranger = key.replace("keyless-1", "keyless-99")
    assert settled(launch, promise, {}, [took(launch, stranger)]).phantom == [stranger]


def test_a_doubtful_delivery_is_neither_lost_nor_a_phantom(launch, promise, key):
    found = settled(launch, promise, {key: row(key, "unknown", error="the sender stopped before the answer came")})
    assert (found.lost, found.phantom, found.unknown, found.unknown_by_stop) == ([], [], [key], [key])


def test_a_message_that_left_when_it_was_worthless_is_stale(launch, promise, key):
    days_late = took(launch, key, late=timedelta(days=2))
    assert settled(launch, promise, {}, [days_late], untaken={key}).stale == [key]


def test_remedies_and_single_members_are_promised_too(launch):
    twice = promised(launch.plan, launch.members, {"recruit": 2}) - promised(launch.plan, launch.members, {})
    assert len(twice) == 2 * len(launch.plan.launch.group_ids())
    alone = {key for key in promised(launch.plan, launch.members, {}) if key.count("/") == 4}
    assert len(alone) == sum(map(len, launch.members.values()))


def test_the_same_seed_makes_the_same_launch(launch, tmp_path):
    again = write_launch(tmp_path, 0, 1, SINKS, head_start=60)
    other = write_launch(tmp_path / "other", 0, 2, SINKS, head_start=60)
    steps = [[(step.id, step.groups, step.on_late) for step in each.plan.steps] for each in (launch, again, other)]
    assert steps[0] == steps[1] != steps[2]


def test_a_forked_engine_can_be_frozen_thawed_and_killed():
    child = fork(lambda: freeze_me() or os.kill(os.getpid(), signal.SIGKILL) or 0)
    while not child.is_stopped:
        assert child.poll() is None
    assert child.wait(0.05) is None
    child.send(signal.SIGCONT)
    assert child.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("call", [["--faults", "rain"], ["--kills", "0"], ["--mutant", "nobody"]])
def test_a_wrong_call_is_refused_before_anything_begins(call, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tests.chaos", *call])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.e2e
@pytest.mark.parametrize(("ledger", "kills"), [("sqlite", 100), ("postgres", 40)])
def test_kills_lose_nothing_and_double_nothing(ledger, kills):
    where = ["--ledger", "postgres"] if ledger == "postgres" else []
    done = chaos("--kills", str(kills), "--seed", "4", "--json", *where)
    told = json.loads(done.stdout)
    print(json.dumps({name: value for name, value in told.items() if name != "details"}))
    assert told["wrong"] == [], [(name, told["details"].get(name)) for name in told["wrong"]]
    assert done.returncode == 0
    assert told["kills"] >= kills
    assert told["sent"] > kills, "most of it arrives all the same"


@pytest.mark.e2e
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_engine_is_found_out(mutant):
    faults = "freeze" if mutant == "no-fencing" else "sink"
    done = chaos("--kills", "20", "--mutant", mutant, "--faults", faults, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert not told["broken"], "it is caught by what it did to the messages, not by an exception"


def chaos(*arguments):
    command = [sys.executable, "-m", "tests.chaos", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
