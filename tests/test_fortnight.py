"""The launch of two weeks that `python -m tests.fortnight` plays in minutes: the file and the community that it writes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drumroll.activity import Event, Person
from drumroll.check import check_file
from drumroll.ledger.ledger import open_ledger
from drumroll.operate.edition import begin
from drumroll.sources.json_lines import JsonLines
from tests.fortnight.community import export
from tests.fortnight.compress import HELD, OUT_OF_REACH, compress

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "configs" / "learning-phone.yaml"
STARTS = datetime(2026, 11, 22, 15, 50, tzinfo=UTC)  # ten minutes before midnight where the launch is


@pytest.fixture(scope="module", params=[6, 20])
def compressed(request, tmp_path_factory):
    """The long plan, the short file's check, and the line of time between the two."""
    project = tmp_path_factory.mktemp("fortnight")
    (project / "templates").symlink_to(ROOT / "templates")
    file = project / "configs" / "short.yaml"
    file.parent.mkdir()
    url = "http://127.0.0.1:9/announce"
    text, line = compress(SOURCE, starts=STARTS, minutes=request.param, url=url, events="community.jsonl")
    file.write_text(text, encoding="utf-8")
    return check_file(SOURCE).accepted(), check_file(file), line, timedelta(minutes=request.param)


def test_the_short_launch_passes_check_with_no_rule_waived(compressed):
    _, checked, *_ = compressed
    assert checked.errors == []
    assert checked.accepted().launch.waive == {}


def test_it_has_the_same_steps_numbers_kinds_and_recipients_in_the_same_order(compressed):
    long, checked, *_ = compressed

    def shape(plan):
        return [(step.id, step.number, step.phase, step.kind, step.groups, step.segment) for step in plan.steps]

    assert shape(checked.accepted()) == shape(long)


def test_it_takes_as_many_minutes_as_asked_and_no_two_moments_become_one(compressed):
    long, checked, line, length = compressed
    plan = checked.accepted()
    assert plan.phases[0].starts == STARTS
    assert timedelta(0) <= plan.phases[-1].gate_at - STARTS - length < timedelta(seconds=5)
    assert [step.due for step in plan.steps] == [line(step.due) for step in long.steps]
    assert [phase.latest for phase in plan.phases] == [line(phase.latest) for phase in long.phases]
    assert len({step.due for step in plan.steps}) == len({step.due for step in long.steps})


def test_one_gate_asks_for_more_than_there_are_and_then_for_a_person(compressed):
    _, checked, *_ = compressed
    gates = {name: phase.gate for name, phase in checked.accepted().launch.phases.items()}
    assert gates[HELD].otherwise == ("hold",)
    assert gates[HELD].thresholds[-1].at_least == OUT_OF_REACH
    assert all("hold" in gate.otherwise for gate in gates.values())


def test_events_of_the_rehearsal_keep_their_order_and_their_place_between_the_steps(compressed, tmp_path):
    long, _, line, _ = compressed
    store = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    begin(long, ledger=store, rehearsal=True, now=long.phases[0].starts)
    steps = long.steps[5:15]
    events = [
        Event("s", f"e{n}", "message", step.due + timedelta(minutes=4), "reading", f"m{n % 2}")
        for n, step in enumerate(steps)
    ]
    store.take_in(long.edition, [Person("m0", "Ann"), Person("m1", "Bot", is_bot=True)], events)
    store.set_edition_state(long.edition, "done", now=long.phases[-1].gate_at)
    store.close()
    path = tmp_path / "community.jsonl"
    path.write_text("".join(export(tmp_path / "ledger.db", line)), encoding="utf-8")
    read = JsonLines().read(path, zone=UTC)
    assert [event.id for event in read.events] == [event.id for event in events]
    for event, step, after in zip(read.events, steps, long.steps[6:16], strict=True):
        assert line(step.due) < event.at < line(after.due)
    assert {person.id: person.is_bot for person in read.people} == {"m0": False, "m1": True}
