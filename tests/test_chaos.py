"""The fault harness: its accounting on made-up ledgers, and short storms that the program survives and mutants do not."""

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drumroll.ledger.model import DeliveryRow, delivery_key, idempotency_key
from tests.chaos.__main__ import main
from tests.chaos.account import Taken, account, promised
from tests.chaos.editing import rewritten
from tests.chaos.launches import FOLD, write_launch
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


@pytest.mark.parametrize(
    "words",
    [
        "--faults rain",
        "--kills 0",
        "--mutant nobody",
        "--launches 0",
        "--through prefect --launches 3",
        "--through prefect --mutant no-claim",
        "--launches 3 --restart-every -1",
    ],
)
def test_a_wrong_call_is_refused_before_anything_begins(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tests.chaos", *words.split()])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_a_sent_step_that_a_new_plan_alters_is_rewritten_and_one_that_only_teases_another_is_not(launch, key):
    def with_step(**change):
        steps = [step.model_copy(update=change) if step.id == "r3" else step for step in launch.plan.steps]
        return launch.plan.model_copy(update={"steps": tuple(steps)})

    sent = replace(row(key), sent_at=datetime(2026, 1, 1, tzinfo=UTC))
    applied = [0.0, datetime(2026, 1, 2, tzinfo=UTC).timestamp()]
    assert rewritten([launch.plan, with_step(topic="another")], applied, [sent]) == [key]
    assert rewritten([launch.plan, with_step(follows_up="r5")], applied, [sent]) == []
    before = [0.0, datetime(2025, 1, 1, tzinfo=UTC).timestamp()]
    assert rewritten([launch.plan, with_step(topic="another")], before, [sent]) == []


def test_a_launch_across_the_fold_is_written_by_the_clocks_on_the_wall(tmp_path):
    across = write_launch(tmp_path, 1, 1, SINKS, head_start=60, fold=True)
    text = across.file.read_text()
    assert "02:59:" in text or "02:00:" in text
    assert {"first", "second"} & set(re.findall(r"first|second", text))
    dues = [step.due for step in across.plan.steps]
    assert min(dues) < FOLD < max(dues), "its steps fall on both sides"


# Whole storms. Most of their time they wait: two at once take half as long.


@pytest.fixture(scope="module")
def told(request):
    """What each call of the harness that was asked for says in the end, by the call."""
    asked = (getattr(item, "callspec", None) for item in request.session.items if item.module is request.module)
    calls = dict.fromkeys(spec.params["call"] for spec in asked if spec is not None and "call" in spec.params)
    with ThreadPoolExecutor(2) as pool:
        yield {call: pool.submit(chaos, call) for call in calls}


SURVIVED = [
    "--through prefect --kills 3 --seed 1",
    "--kills 100 --seed 4",
    "--kills 30 --seed 4 --ledger postgres",
    "--launches 20 --ledger postgres --restart-every 4",
]


@pytest.mark.e2e
@pytest.mark.xdist_group("kills")
@pytest.mark.parametrize("call", SURVIVED)
def test_kills_and_crashes_lose_nothing_and_double_nothing(call, told):
    code, found = told[call].result()
    print(json.dumps({name: value for name, value in found.items() if name != "details"}))
    assert found["wrong"] == [], [(name, found["details"].get(name)) for name in found["wrong"]]
    assert code == 0
    done, wanted = ("restarts", 3) if "--launches" in call else ("kills", int(call.split("--kills ")[1].split()[0]))
    assert found[done] >= wanted
    assert found["sent"] > found["planned"] / 3, "much of it arrives all the same"


FROZEN = ("no-fencing", "no-row-token")


@pytest.mark.e2e
@pytest.mark.xdist_group("kills")
@pytest.mark.parametrize(
    "call", [f"--kills 8 --mutant {mutant} --faults {'freeze' if mutant in FROZEN else 'sink'}" for mutant in MUTANTS]
)
def test_a_broken_engine_is_found_out(call, told):
    code, found = told[call].result()
    assert code == 1
    assert not found["broken"], "it is caught by what it did to the messages, not by an exception"


def chaos(call):
    """The harness's exit code and its JSON."""
    command = [sys.executable, "-m", "tests.chaos", *call.split(), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)
