"""What a person is asked in the Prefect UI about held gates and held steps, and what their answer does."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from small_launch import EDITION, NOW, begun, held
from test_waiting import Deployed, sign_as

from drumroll.errors import DrumrollError
from drumroll.ledger.changes import PlanChange
from drumroll.ledger.edition_lease import FencedError
from drumroll.ledger.model import GateCheckRow
from drumroll.operate.gating import decide
from drumroll.operate.questions import (
    PATIENCE,
    Answer,
    awaits_answer,
    gate_question,
    held_steps,
    refusal,
    step_question,
    take_gate_answer,
    take_step_answer,
)

READ_AT = datetime(2027, 3, 4, 14, tzinfo=UTC)  # when the gate was read; its slack lasts until 18:00
YES = Answer("continue", "six of eight is enough", "Ann")


@pytest.fixture
def where(tmp_path):
    """The edition whose gate of `recruit` holds at its first reading."""
    return held(tmp_path)


def with_approval(where):
    """The same edition, as if its launch file said `approval: required`."""
    plan = where.plan()
    plan = plan.model_copy(update={"launch": plan.launch.model_copy(update={"approval": "required"})})
    words = {"plan_hash": "approved", "document": plan.model_dump_json(), "title": "", "opens_at": plan.opens}
    nothing = dict.fromkeys(("moved", "cancelled", "added", "unsaid", "decisions"), ())
    [first] = where.open().plan_versions(EDITION)
    where.open().change_plan(EDITION, PlanChange(**words, **nothing, reason=""), since=first, now=NOW)
    return where


def deciders(where):
    """Who decided about the gate of `recruit`, in order."""
    return [each.by for each in where.open().decisions(EDITION, "gate recruit")]


# A held gate.


def test_a_held_gate_is_asked_about_with_what_it_saw(where):
    question = gate_question(where, "recruit", now=READ_AT)
    assert question.key == "gate-recruit-1"
    assert question.title.startswith("the gate of recruit holds: active_rate [one] 0.75 (95% 0.30–0.95, n=4) ≥ 0.9 ")
    assert "- `members 8 (all counted) ≥ 4 ✓`" in question.text
    assert f"drumroll gate {EDITION} recruit --decide" in question.text


def test_every_choice_says_what_it_does(where):
    choices = gate_question(where, "recruit", now=READ_AT).choices
    assert choices["continue"] == "the gate passes and ignite begins"
    assert choices["extend"] == "the gate is read again after 6 h at most; its slack lasts until Thu 03-04 18:00 UTC"
    assert list(choices) == ["continue", "extend", "abort"]


def test_without_slack_left_to_extend_is_no_choice(where):
    assert list(gate_question(where, "recruit", now=READ_AT + timedelta(hours=4)).choices) == ["continue", "abort"]


def test_without_slack_left_nobody_extends_at_the_command_either(where):
    with pytest.raises(DrumrollError, match="no slack left to extend into"):
        decide(where, "recruit", "extend", by="Ann", reason="rain", now=READ_AT + timedelta(hours=4))
    assert where.open().last_check(EDITION, "recruit").verdict == "hold"


def test_a_gate_that_waits_for_nobody_is_not_asked_about(where):
    assert gate_question(where, "ignite", now=READ_AT) is None
    decide(where, "recruit", "pass", by="Ann", reason="enough", now=READ_AT)
    assert gate_question(where, "recruit", now=READ_AT) is None


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer("continue", " \n", "Ann"), "say why"),
        (Answer("continue", "enough", " "), "say who decides"),
        (Answer("extend", "later", "Ann"), "no longer be chosen; choose continue or abort"),
        (Answer("", "", ""), "no longer be chosen"),
    ],
)
def test_an_answer_that_cannot_go_on_record_is_refused(where, answer, why):
    assert why in refusal(gate_question(where, "recruit", now=READ_AT + timedelta(hours=4)), answer)


def test_anybody_with_a_name_may_answer(where):
    assert refusal(gate_question(where, "recruit", now=READ_AT), Answer("continue", "enough", "Bea")) is None


def test_where_approval_is_required_a_name_of_the_staff_is(where):
    question = gate_question(with_approval(where), "recruit", now=READ_AT)
    assert refusal(question, Answer("continue", "enough", "Bea")) == "the launch wants a name of its staff: Ann"
    assert refusal(question, YES) is None


def test_an_answer_is_recorded_as_a_decision(where):
    take_gate_answer(where, "recruit", 1, Answer("continue", " enough ", " Ann "), now=READ_AT)
    check = where.open().last_check(EDITION, "recruit")
    assert (check.verdict, check.latched) == ("pass", True)
    [decision] = where.open().decisions(EDITION, "gate recruit")
    assert (decision.choice, decision.by, decision.reason) == ("pass", "Ann", "enough")


def test_to_extend_uses_the_slack_and_no_more(where):
    take_gate_answer(where, "recruit", 1, Answer("extend", "rain", "Ann"), now=READ_AT)
    assert where.open().last_check(EDITION, "recruit").next_check_at == READ_AT + timedelta(hours=4)


def test_to_abort_is_a_verdict_that_stands(where):
    take_gate_answer(where, "recruit", 1, Answer("abort", "nobody came", "Ann"), now=READ_AT)
    check = where.open().last_check(EDITION, "recruit")
    assert (check.verdict, check.latched) == ("abort", True)


def test_an_edition_that_is_over_asks_nothing(where):
    where.open().set_edition_state(EDITION, "aborted", now=READ_AT)
    assert gate_question(where, "recruit", now=READ_AT) is None


def test_an_answer_about_an_earlier_reading_decides_nothing(where):
    decide(where, "recruit", "extend", by="Bea", reason="rain", now=READ_AT)
    where.open().keep_check(GateCheckRow(EDITION, "recruit", 3, READ_AT, "hold", latched=False, snapshot="{}"))
    with pytest.raises(DrumrollError, match="somebody else has just decided"):
        take_gate_answer(where, "recruit", 1, YES, now=READ_AT)
    assert where.open().last_check(EDITION, "recruit").attempt == 3
    assert len(where.open().decisions(EDITION, "gate recruit")) == 1


def test_an_edition_waits_for_an_answer_until_it_is_decided(where):
    assert awaits_answer(where, now=READ_AT)
    decide(where, "recruit", "pass", by="Ann", reason="enough", now=READ_AT)
    assert not awaits_answer(where, now=READ_AT)


def test_what_a_person_released_meanwhile_is_sent_before_the_answer(where):
    [doubtful] = where.open().deliveries(EDITION, state="unknown")
    where.open().resolve(doubtful.key, "resend", by="Ann", reason="it never came", now=READ_AT)
    assert not awaits_answer(where, now=READ_AT)
    assert awaits_answer(where, now=READ_AT - 2 * PATIENCE), "what is due later than that waits for the answer"


# A held step.


@pytest.fixture
def late(tmp_path):
    """The edition whose first step is held, for both groups."""
    where = begun(tmp_path)
    at = where.plan().step("hello").due + timedelta(hours=3)
    where.open().set_aside(EDITION, "hello", 1, to="held", reason="3h late; a person decides", now=at)
    return where, at


def test_a_held_step_is_asked_about_once_for_all_its_deliveries(late):
    where, _ = late
    assert held_steps(where) == [("hello", 1)]
    question = step_question(where, "hello", 1)
    assert question.title == "No. 01 is held: 3h late; a person decides"
    assert "(`hello`), planned for Wed 03-03 10:00 UTC, waits: 2 deliveries to one, two." in question.text
    assert list(question.choices) == ["send now", "skip", "abort the launch"]


def test_its_words_are_data_in_the_form(late):
    where, at = late
    [row, _] = where.open().deliveries(EDITION, state="held")
    where.open().resolve(row.key, "resend", by="Ann", reason="now", now=at)
    why = "its words cannot be rendered: <img src=x> `**x**`"
    where.open().set_aside(EDITION, "hello", 1, to="held", reason=why, now=at)
    assert "- `its words cannot be rendered: <img src=x> '**x**'`" in step_question(where, "hello", 1).text


@pytest.mark.parametrize(("choice", "state"), [("send now", "due"), ("skip", "skipped")])
def test_the_answer_resolves_every_held_delivery_and_is_recorded_for_each(late, choice, state):
    where, at = late
    assert take_step_answer(where, "hello", 1, Answer(choice, "they wait for it", "Ann"), now=at) == 2
    assert {row.state for row in where.open().deliveries(EDITION, step="hello")} == {state}
    said = [(each.subject, each.by, each.reason) for each in where.open().decisions(EDITION)]
    assert said == [(f"{EDITION}/hello/1/{group}", "Ann", "they wait for it") for group in ("one", "two")]
    assert held_steps(where) == []
    assert step_question(where, "hello", 1) is None


def test_what_somebody_else_has_settled_stays_as_they_settled_it(late):
    where, at = late
    where.open().resolve(f"{EDITION}/hello/1/two", "skip", by="Bea", reason="posted it", now=at)
    assert take_step_answer(where, "hello", 1, Answer("send now", "late is fine", "Ann"), now=at) == 1
    assert where.open().delivery(f"{EDITION}/hello/1/two").state == "skipped"
    assert [each.by for each in where.open().decisions(EDITION)] == ["Bea", "Ann"]


def test_to_abort_the_launch_ends_the_edition_on_record(late):
    where, at = late
    take_step_answer(where, "hello", 1, Answer("abort the launch", "wrong product", "Ann"), now=at)
    assert where.open().edition(EDITION).state == "aborted"
    assert held_steps(where) == []
    [decision] = where.open().decisions(EDITION)
    assert (decision.subject, decision.choice, decision.by) == ("launch", "abort", "Ann")


# The form.


def test_the_form_has_a_list_of_choices_and_leaves_nothing_empty(where):
    from tasks.forms import schema_of

    schema = schema_of(gate_question(where, "recruit", now=READ_AT))
    assert schema["properties"]["choice"]["enum"] == ["continue", "extend", "abort"]
    assert schema["required"] == ["choice", "reason", "name"]
    assert schema["properties"]["reason"]["pattern"] == r"\S"
    named = schema_of(gate_question(with_approval(where), "recruit", now=READ_AT))
    assert named["properties"]["name"]["const"] == "Ann"


prefect = [pytest.mark.prefect, pytest.mark.xdist_group("prefect")]


@pytest.fixture
async def client(prefect_api):
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        yield client


class TestGate:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    @pytest.fixture
    async def run(self, client, where):
        """The launch's run, which has come as far as its form."""
        from flows.launch import launch

        run = await Deployed.make(client, launch, file="none", ledger=where.ledger)
        await sign_as(client, run.run, where)
        await client.update_flow_run(run.run.id, tags=[EDITION])
        assert await run.pick_up()
        return run

    async def test_a_launch_at_a_held_gate_shows_its_form_and_needs_no_process(self, client, where, run):
        now_is, [phase] = await run.now_is(), await run.phases()
        assert now_is.state_name == "Suspended"
        assert now_is.state.message.startswith("the gate of recruit holds: active_rate")
        assert (phase.state_name, phase.state.message) == ("Waiting for a decision", now_is.state.message)
        keys = now_is.state.state_details.run_input_keyset
        assert keys["response"] == "gate-recruit-1-1-response"
        schema = json.loads(await client.read_flow_run_input(run.run.id, keys["schema"]))
        assert schema["properties"]["choice"]["enum"] == ["continue", "extend", "abort"]
        assert "What it saw on" in await client.read_flow_run_input(run.run.id, keys["description"])
        assert where.open().edition(EDITION).state == "held"
        assert not where.open().lease(EDITION).is_live(datetime.now(UTC))

    async def test_the_same_run_goes_on_with_the_answer(self, client, where, run):
        assert await fill_in(client, run, "continue", "enough", "Ann") == "ACCEPT"
        assert await run.pick_up(), "it waits for the next phase"
        now_is = await run.now_is()
        assert (now_is.state_name, now_is.run_count) == ("Waiting", 1)
        states = {phase.name.partition(" ")[0]: phase.state_name for phase in await run.phases()}
        assert states == {"recruit": "Completed", "ignite": "Waiting"}
        [decision] = where.open().decisions(EDITION, "gate recruit")
        assert (decision.choice, decision.by, decision.reason) == ("pass", "Ann", "enough")
        assert where.open().edition(EDITION).state == "running"

    async def test_an_abort_ends_the_run_as_aborted(self, client, where, run):
        await fill_in(client, run, "abort", "nobody came", "Ann")
        assert not await run.pick_up()
        assert (await run.now_is()).state_name == "Aborted"
        assert where.open().edition(EDITION).state == "aborted"
        assert "due" not in where.open().counts(EDITION)

    async def test_a_launch_that_was_aborted_while_it_asked_ends_with_its_phase(self, client, where, run):
        where.open().set_edition_state(EDITION, "aborted", now=READ_AT)
        assert await fill_in(client, run, "continue", "enough", "Ann") == "ACCEPT"
        assert not await run.pick_up()
        assert (await run.now_is()).state_name == "Aborted"
        assert [phase.state_name for phase in await run.phases()] == ["Aborted"]
        assert deciders(where) == []

    async def test_prefect_refuses_a_form_that_is_not_filled_in(self, client, run):
        for answer in ({}, {"choice": "continue", "reason": " ", "name": "Ann"}, {"choice": "pass"}):
            assert (await client.resume_flow_run(run.run.id, run_input=answer)).status.value == "REJECT"
        assert (await run.now_is()).state_name == "Suspended"

    async def test_an_answer_that_does_not_count_is_asked_for_again_with_the_reason(self, client, where, run):
        await fill_in(client, run, "continue", "enough", "Bea")
        with_approval(where)  # by the time the answer is read
        assert await run.pick_up()
        keys = (await run.now_is()).state.state_details.run_input_keyset
        text = json.loads(await client.read_flow_run_input(run.run.id, keys["description"]))
        assert text.startswith("**The last answer was not taken: the launch wants a name of its staff: Ann.**")
        assert deciders(where) == []
        await fill_in(client, run, "continue", "enough", "Ann")
        await run.pick_up()
        assert deciders(where) == ["Ann"]

    async def test_of_two_people_who_answer_the_first_decides(self, client, where, run):
        assert await fill_in(client, run, "continue", "enough", "Ann") == "ACCEPT"
        assert await fill_in(client, run, "abort", "too few", "Bea") == "ABORT"
        await run.pick_up()
        assert deciders(where) == ["Ann"]

    async def test_a_decision_on_the_command_line_wins_over_a_form_that_comes_later(self, client, where, run, caplog):
        decide(where, "recruit", "pass", by="Ann", reason="enough", now=READ_AT)
        assert await fill_in(client, run, "abort", "too few", "Bea") == "ACCEPT"
        assert await run.pick_up()
        assert (await run.now_is()).state_name == "Waiting"
        assert "came when it had been decided; it changes nothing" in caplog.text
        assert deciders(where) == ["Ann"]

    async def test_an_answer_is_not_used_for_another_reading(self, client, where, run):
        await fill_in(client, run, "continue", "enough", "Ann")
        decide(where, "recruit", "extend", by="Bea", reason="rain", now=READ_AT)
        check = where.open().last_check(EDITION, "recruit")
        where.open().keep_check(
            GateCheckRow(EDITION, "recruit", 3, READ_AT, "hold", latched=False, snapshot=check.snapshot)
        )
        assert await run.pick_up()
        now_is = await run.now_is()
        assert now_is.state.state_details.run_input_keyset["schema"] == "gate-recruit-3-1-schema"
        assert deciders(where) == ["Bea"]

    async def test_a_run_without_an_answer_asks_the_same_again(self, client, where, run):
        from tasks.releasing import schedule

        keys = (await run.now_is()).state.state_details.run_input_keyset
        await schedule(client, run.run.id, datetime.now(UTC), "its process was gone")
        assert await run.pick_up()
        now_is = await run.now_is()
        assert now_is.state_name == "Suspended"
        assert now_is.state.state_details.run_input_keyset == keys
        assert deciders(where) == []

    async def test_an_engine_that_was_overtaken_asks_nobody(self, client, where):
        from dataclasses import replace

        from prefect import flow

        from drumroll.operate.lease import holding
        from tasks.asking import ask

        @flow(name="launch")
        async def launch():
            async with holding(where, "me", ttl=timedelta(seconds=0.1), beat=60) as ours:
                where.open().take_lease(
                    EDITION, owner="other", now=datetime.now(UTC) + timedelta(minutes=1), ttl=timedelta(hours=1)
                )
                with pytest.raises(FencedError):
                    await ask(replace(where, token=ours.token), "recruit")

        run = await Deployed.make(client, launch)
        await sign_as(client, run.run, where)
        assert not await run.pick_up()
        assert "Suspended" not in await run.states()

    async def test_in_the_foreground_a_held_gate_ends_the_run_as_it_always_did(self, prefect_api, where):
        from flows.recruit import recruit

        assert await recruit(EDITION, where.ledger, where.project) == "hold"

    async def test_the_watch_hands_the_run_on_once_the_command_line_has_decided(self, client, where, run):
        from tasks.requeue import tend_runs

        await tend_runs(where.open(), [where], look_again=timedelta(0))
        assert (await run.now_is()).state_name == "Suspended"
        decide(where, "recruit", "pass", by="Ann", reason="enough", now=READ_AT)
        await tend_runs(where.open(), [where], look_again=timedelta(0))
        now_is = await run.now_is()
        assert (now_is.state_name, now_is.state.message) == ("Waiting", "it goes on without an answer to its form")

    async def test_the_command_line_hands_it_on_at_once(self, client, where, run):
        from tasks.remote import nudge

        assert not await nudge(where)
        decide(where, "recruit", "pass", by="Ann", reason="enough", now=READ_AT)
        assert await nudge(where)
        assert (await run.now_is()).state_name == "Waiting"


class TestStep:
    pytestmark = [pytest.mark.e2e, pytest.mark.prefect, pytest.mark.xdist_group("prefect")]

    @pytest.fixture
    async def asked(self, client, late):
        """The question about the held step, as the watch asks it."""
        from flows.question import question

        where, _ = late
        flow_id = await client.create_flow(question)
        await client.create_deployment(flow_id, f"question-{where.project[-20:]}", paused=True)
        await tend(where)
        [run] = await questions(client, where)
        return Deployed(client, question, run)

    async def test_a_held_step_is_a_run_with_a_form_that_needs_no_process(self, client, asked):
        now_is = await asked.now_is()
        assert (now_is.name, now_is.state_name) == ("No. 01 is held: 3h late; a person decides", "Suspended")
        keys = now_is.state.state_details.run_input_keyset
        schema = json.loads(await client.read_flow_run_input(now_is.id, keys["schema"]))
        assert schema["properties"]["choice"]["enum"] == ["send now", "skip", "abort the launch"]
        assert await asked.states() == ["Preparing", "Suspended"]

    async def test_it_is_asked_once_however_often_the_watch_comes_by(self, client, late, asked):
        where, _ = late
        await asyncio.gather(*(tend(where) for _ in range(3)))
        assert len(await questions(client, where)) == 1

    async def test_two_watches_at_once_ask_once(self, client, late):
        from flows.question import question

        where, _ = late
        await client.create_deployment(await client.create_flow(question), "question", paused=True)
        await asyncio.gather(*(tend(where) for _ in range(4)))
        [run] = await questions(client, where)
        assert run.state_name == "Suspended"

    async def test_the_answer_settles_the_step_and_ends_the_run(self, client, late, asked):
        where, _ = late
        assert await fill_in(client, asked, "skip", "too late", "Ann") == "ACCEPT"
        assert not await asked.pick_up()
        now_is = await asked.now_is()
        assert (now_is.state_name, now_is.state.message) == ("Answered", "skip: 2 settled")
        assert {row.state for row in where.open().deliveries(EDITION, step="hello")} == {"skipped"}
        await tend(where)
        assert len(await questions(client, where)) == 1

    async def test_a_run_picked_up_without_an_answer_asks_again(self, client, asked):
        from tasks.releasing import schedule

        await schedule(client, asked.run.id, datetime.now(UTC), "by hand")
        assert await asked.pick_up()
        assert (await asked.now_is()).state_name == "Suspended"

    async def test_a_question_that_the_command_line_has_settled_is_closed(self, client, late, asked):
        where, at = late
        for row in where.open().deliveries(EDITION, state="held"):
            where.open().resolve(row.key, "skip", by="Bea", reason="too late", now=at)
        await tend(where)
        assert (await asked.now_is()).state_name == "Settled"

    async def test_an_answer_that_comes_after_that_changes_nothing(self, client, late, asked):
        where, at = late
        for row in where.open().deliveries(EDITION, state="held"):
            where.open().resolve(row.key, "skip", by="Bea", reason="too late", now=at)
        await fill_in(client, asked, "send now", "late is fine", "Ann")
        assert not await asked.pick_up()
        assert "the answer came later, and changes nothing" in (await asked.now_is()).state.message
        assert {each.by for each in where.open().decisions(EDITION)} == {"Bea"}

    async def test_what_is_held_anew_after_an_answer_is_asked_anew(self, client, late, asked):
        where, at = late
        await fill_in(client, asked, "send now", "late is fine", "Ann")
        await asked.pick_up()
        later = at + timedelta(hours=5)
        where.open().set_aside(EDITION, "hello", 1, to="held", reason="released 5h ago; a person decides", now=later)
        await tend(where)
        assert [run.state_name for run in await questions(client, where)] == ["Suspended", "Answered"]

    async def test_a_question_whose_process_died_is_handed_back(self, client, late, asked, monkeypatch):
        from prefect.states import Pending, Running

        where, _ = late
        await fill_in(client, asked, "skip", "too late", "Ann")
        for state in (Pending(), Running()):
            await client.set_flow_run_state(asked.run.id, state)
        await tend(where)
        assert (await asked.now_is()).state_name == "Running"
        monkeypatch.setattr("tasks.held_steps.LOST", timedelta(0))
        await tend(where)
        assert (await asked.now_is()).state_name == "Waiting"
        assert not await asked.pick_up()
        assert (await asked.now_is()).state_name == "Answered"


async def fill_in(client, run, choice, reason, name):
    """Submit the form as the UI does; what Prefect says to it."""
    answer = {"choice": choice, "reason": reason, "name": name}
    return (await client.resume_flow_run(run.run.id, run_input=answer)).status.value


async def tend(where):
    from tasks.held_steps import tend_questions

    await tend_questions(where.open(), [where], {"ledger": where.ledger, "project": where.project})


async def questions(client, where):
    """The questions about the edition's held steps, the newest first."""
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    runs = await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=["question"])), sort=FlowRunSort.EXPECTED_START_TIME_DESC
    )
    ours = [run for run in runs if run.labels.get("drumroll.ledger") == where.open().store.where]
    return sorted(ours, key=lambda run: run.created, reverse=True)
