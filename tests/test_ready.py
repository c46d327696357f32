"""A message is ready before its instant: then only the claim stands between the instant and the channel."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, new, take
from small_launch import EDITION as SPRING
from small_launch import begun

from drumroll.clock import VirtualClock, using_clock
from drumroll.ledger.changes import PlanChange
from drumroll.operate.beats import Beat
from drumroll.operate.sending import send_step
from drumroll.operate.waking import EACH, READY, ready_by
from drumroll.operate.wording import make_ready


class Machine(VirtualClock):
    """Stops on the way to an instant: `on_advance` is what happens meanwhile, `sleeps` how long it oversleeps."""

    sleeps = timedelta(0)

    async def sleep_until(self, at):
        await super().sleep_until(at + self.sleeps)


@pytest.fixture
def where(tmp_path):
    return begun(tmp_path)


@pytest.fixture
def beat(where):
    return Beat("announce", where.plan().step("hello").due, "hello")


@pytest.fixture
def machine(beat):
    return Machine(beat.at - READY)


def sent_to(where):
    out = Path(where.project, "out.jsonl")
    return [json.loads(line)["group"] for line in out.read_text().splitlines()] if out.exists() else []


def test_an_announcement_is_made_ready_before_its_instant(where, beat):
    assert ready_by(where, beat) == beat.at - READY


def test_launches_of_one_minute_are_made_ready_one_after_the_other(where, beat):
    for name in ("autumn@2027-03-06", "winter@2027-03-06"):
        begin(where.open(), new(due=beat.at), edition=name)
    assert ready_by(where, beat) == beat.at - READY - EACH  # autumn comes before spring


def test_a_gate_is_read_at_its_instant(where):
    assert ready_by(where, Beat("gate", NOW)) == NOW


def test_in_a_rehearsal_everything_happens_at_its_instant(where, beat):
    with using_clock(VirtualClock(NOW)):
        assert ready_by(where, beat) == beat.at


async def test_what_is_ready_goes_out_at_its_instant_and_not_before(where, beat, machine):
    ready = make_ready(where, beat, now=beat.at)
    assert sent_to(where) == []
    await send_step(where, ready, machine)
    assert (sent_to(where), machine.now()) == (["one"], beat.at)


async def test_what_was_cancelled_while_it_was_ready_does_not_go_out(where, beat, machine):
    async def cancel(_since, until):
        where.open().set_aside(SPRING, None, None, to="cancelled", reason="no more", now=until)

    machine.on_advance = cancel
    await send_step(where, make_ready(where, beat, now=beat.at), machine)
    assert sent_to(where) == []


async def test_words_of_a_plan_that_was_changed_meanwhile_do_not_go_out(where, beat, machine):
    async def change(_since, until):
        nothing = dict.fromkeys(("moved", "cancelled", "added", "unsaid", "decisions"), ())
        plan = {"plan_hash": "new", "document": where.plan().model_dump_json(), "title": "", "opens_at": NOW}
        [since] = where.open().plan_versions(SPRING)
        where.open().change_plan(SPRING, PlanChange(**plan, **nothing, reason=""), since=since, now=until)

    machine.on_advance = change
    await send_step(where, make_ready(where, beat, now=beat.at), machine)
    assert sent_to(where) == []
    machine.on_advance = None
    await send_step(where, make_ready(where, beat, now=beat.at), machine)
    assert sent_to(where) == ["one"]


async def test_a_machine_that_slept_through_the_instant_sends_nothing_before_it_has_judged_anew(where, beat, machine):
    machine.sleeps = 2 * MINUTE
    await send_step(where, make_ready(where, beat, now=beat.at), machine)
    assert sent_to(where) == []
    assert where.open().step_states(SPRING)[beat.step, 1] == {"due": 2}


def test_a_claim_for_another_version_of_the_plan_gets_nothing(ledger):
    begin(ledger, new())
    assert take(ledger, plan_version=2) == []
    assert [claim.edition for claim in take(ledger, plan_version=1)] == [EDITION]
