"""From a launch file to numbered, chained steps at absolute instants."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from drumroll.plan.compile import planned_remedy, remedy_step_id
from drumroll.plan.model import Plan
from drumroll.plan.workload import workload
from tests.launch_files import LAUNCH, SERIAL, TEMPLATES, new_project


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path)


def numbers(plan):
    return {step.id: step.number for step in plan.steps}


def test_numbers_run_across_phases_in_order_of_time(project):
    assert numbers(project.plan()) == {
        "welcome": 1,
        "roll-call": None,
        "the-noise": 2,
        "the-host": 3,
        "nudge": None,
        "terms": 4,
        "two-hours": None,
        "order": 5,
    }


def test_numbers_follow_the_clock_and_not_the_file(project):
    project.change('at: "D-6 10:00"', 'at: "D-4 19:30"').change("serial: true", "topic: hello")
    project.change("kind: welcome", "kind: announcement").template("en/recruit/welcome.md.j2", SERIAL)
    plan = project.plan()
    assert [step.id for step in plan.steps][:3] == ["roll-call", "the-noise", "welcome"]
    assert (numbers(plan)["the-noise"], numbers(plan)["welcome"]) == (1, 2)


def test_any_step_may_leave_the_count_or_join_it(project):
    project.change("topic: what the noise does", "topic: what the noise does\n        serial: false")
    project.change(
        "kind: prompt\n        segment", "kind: prompt\n        serial: true\n        topic: you\n        segment"
    )
    project.template("en/nurture/prompt.md.j2", SERIAL)
    found = numbers(project.plan())
    assert (found["the-noise"], found["the-host"], found["nudge"], found["terms"]) == (None, 2, 3, 4)


def test_every_numbered_step_teases_the_next_and_the_last_teases_none(project):
    chain = {step.id: step.follows_up for step in project.plan().steps if step.number}
    assert chain == {
        "welcome": "the-noise",
        "the-noise": "the-host",
        "the-host": "terms",
        "terms": "order",
        "order": None,
    }


def test_unnumbered_steps_tease_nothing(project):
    assert [step.follows_up for step in project.plan().steps if step.number is None] == [None] * 3


def test_steps_at_one_instant_keep_the_order_of_the_file(project):
    project.change('at: "D-5 19:00"', 'at: "D-4 19:00"')
    assert [step.id for step in project.plan().steps][1:3] == ["roll-call", "the-noise"]


def test_one_step_may_stand_on_the_first_and_one_on_the_last_instant_of_a_phase(project):
    project.change('at: "D-6 10:00"', 'at: "D-6 09:00"').change('at: "D-4 19:00"', 'at: "D-4 20:00"')
    plan = project.plan()
    assert plan.step("welcome").due == plan.phase("recruit").starts
    assert plan.step("the-noise").due == plan.phase("recruit").gate_at


def test_a_phase_may_begin_the_instant_the_slack_before_it_is_used_up(project):
    plan = project.change("slack: 12h", "slack: 13h").plan()
    assert plan.phase("recruit").latest == plan.phase("nurture").starts == datetime(2027, 1, 13, 1, tzinfo=UTC)


def test_an_edition_is_named_by_the_local_date_of_its_opening(project):
    project.at_any_hour()
    assert project.plan("2027-02-01 00:30").edition == "kettle@2027-02-01"
    assert project.plan("2027-02-01 00:30").opens == datetime(2027, 1, 31, 16, 30, tzinfo=UTC)


def test_another_opening_moves_every_step_and_makes_another_edition(project):
    plan, moved = project.plan(), project.plan("2027-01-23 12:00")
    assert (plan.edition, moved.edition) == ("kettle@2027-01-16", "kettle@2027-01-23")
    assert {new.due - old.due for old, new in zip(plan.steps, moved.steps, strict=True)} == {timedelta(days=7)}
    assert moved.launch.opens == "2027-01-23 12:00"
    assert moved.hash != plan.hash


def test_all_groups_are_meant_when_none_is_named(project):
    plan = project.plan()
    assert plan.step("welcome").groups == ("east", "west")
    assert (plan.step("nudge").groups, plan.step("nudge").segment) == (("east",), "silent")


def test_a_countdown_counts_to_the_opening_unless_told(project):
    assert project.plan().step("two-hours").counts_to == datetime(2027, 1, 16, 4, tzinfo=UTC)
    project.change("kind: countdown", 'kind: countdown\n        counts_to: "D 15:00"')
    assert project.plan().step("two-hours").counts_to == datetime(2027, 1, 16, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("step", "on_late", "max_late"),
    [
        ("two-hours", "skip", timedelta(0)),
        ("order", "rerender", timedelta(hours=24)),
        ("the-noise", "rerender", timedelta(hours=2)),
        ("roll-call", "rerender", timedelta(hours=2)),
    ],
)
def test_what_happens_to_a_late_step_depends_on_its_kind(project, step, on_late, max_late):
    planned = project.plan().step(step)
    assert (planned.on_late, planned.max_late) == (on_late, max_late)


def test_a_step_may_say_what_happens_when_it_is_late(project):
    project.change("kind: countdown", "kind: countdown\n        on_late: hold\n        max_late: 0s")
    project.change("kind: link", "kind: link\n        max_late: 1h30m")
    plan = project.plan()
    assert (plan.step("two-hours").on_late, plan.step("two-hours").max_late) == ("hold", timedelta(0))
    assert (plan.step("order").on_late, plan.step("order").max_late) == ("rerender", timedelta(minutes=90))


def test_a_remedy_is_due_after_the_verdict_unnumbered_and_with_its_own_id(project):
    plan = project.plan()
    remedy = plan.launch.phases["recruit"].gate.remedy[0]
    verdict_at = datetime(2027, 1, 12, 12, 0, 7, tzinfo=UTC)
    step = planned_remedy(plan, "recruit", remedy, verdict_at=verdict_at)
    assert step.id == remedy_step_id("recruit", remedy) == "recruit.remedy.invite"
    assert step.due == verdict_at + timedelta(minutes=30)
    assert (step.number, step.follows_up, step.phase, step.kind) == (None, None, "recruit", "prompt")
    assert (step.groups, step.template) == (("east", "west"), "en/recruit/prompt.md.j2")
    assert (step.on_late, step.max_late) == ("rerender", timedelta(hours=2))


def test_a_remedy_has_a_template_of_its_own_where_there_is_one(project):
    project.template("en/recruit/invite.md.j2", "Bring somebody\n").change(
        "after: 30m", "after: 30m\n          to: [west]"
    )
    plan = project.plan()
    step = planned_remedy(plan, "recruit", plan.launch.phases["recruit"].gate.remedy[0], verdict_at=plan.opens)
    assert (step.template, step.groups) == ("en/recruit/invite.md.j2", ("west",))
    assert project.check().texts["recruit.remedy.invite"] == "Bring somebody"


def test_templates_are_looked_for_from_the_particular_to_the_general(project):
    def used():
        return project.plan().step("roll-call").template

    assert used() == "en/recruit/prompt.md.j2"
    project.template("en/recruit/roll-call.md.j2", "Here?")
    assert used() == "en/recruit/roll-call.md.j2"
    project.template("en/kettle/recruit/roll-call.md.j2", "Here?")
    assert used() == "en/kettle/recruit/roll-call.md.j2"
    project.change("id: roll-call", "id: roll-call\n        template: games/count").template(
        "en/games/count.md.j2", "Count!"
    )
    assert used() == "en/games/count.md.j2"


def test_a_plan_carries_the_templates_it_uses_and_no_others(project):
    project.template("en/recruit/prompt.md.j2", "{% include 'en/parts/hello.md.j2' %}\n")
    project.template("en/parts/hello.md.j2", "Hello")
    plan = project.plan()
    assert set(plan.templates) == {*TEMPLATES, "en/parts/hello.md.j2"}
    assert plan.templates["en/parts/hello.md.j2"] == "Hello"


def test_a_plan_comes_back_from_json_as_it_was(project):
    project.change("serial: true", 'serial: true\n        vars: {text: "1", count: 1, share: 1.0, sure: true}')
    plan = project.plan()
    again = Plan.model_validate_json(plan.model_dump_json())
    assert again == plan
    assert again.model_dump_json() == plan.model_dump_json()
    kinds = {name: type(value) for name, value in again.step("welcome").vars.items()}
    assert kinds == {"text": str, "count": int, "share": float, "sure": bool}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: The", "title: A"),
        ('at: "D-6 10:00"', 'at: "D-6 10:01"'),
        ("at_least: 30", "at_least: 31"),
        ("host: Ann Boil", "host: Ann Boyle"),
        ("kind: console", "kind: file\n      path: out.jsonl"),
        ("slack: 12h", "slack: 11h"),
        ("ids: [ann]", "ids: [ann, ann2]"),
    ],
)
def test_the_hash_changes_with_the_launchs_meaning(project, old, new):
    before = project.plan().hash
    assert project.change(old, new).plan().hash != before


def test_the_hash_changes_with_a_templates_source(project):
    before = project.plan().hash
    assert project.template("en/nurture/prompt.md.j2", "And you there?\n").plan().hash != before


def test_the_hash_ignores_templates_that_are_not_used(project):
    before = project.plan().hash
    assert project.template("en/nurture/unused.md.j2", "x").plan().hash == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: The quiet kettle", "# words\ntitle:   'The quiet kettle'   # more words"),
        ("after: 30m", "after: 1800s"),
        ("at_least: 10%", "at_least: 0.1"),
        ("to: [east]", "to:\n          - east"),
        (
            "facts:\n  host: Ann Boil\n  link: https://kettle.example/order",
            "facts: {link: https://kettle.example/order, host: Ann Boil}",
        ),
    ],
)
def test_the_hash_ignores_comments_and_formatting(project, old, new):
    before = project.plan().hash
    assert project.change(old, new).plan().hash == before


def test_the_hash_is_the_same_in_another_process(project):
    code = "import sys, pathlib; from drumroll.check import check_file; print(check_file(pathlib.Path(sys.argv[1])).plan.hash)"
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code, project.file],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        assert run.stdout.strip() == project.plan().hash


def test_a_plan_knows_its_phases_and_steps_by_name_only(project):
    plan = project.plan()
    with pytest.raises(KeyError):
        plan.step("nowhere")
    with pytest.raises(KeyError):
        plan.phase("build_up")


def work(project):
    checked = project.check()
    return {f"{day.day:%m-%d}": day for day in workload(checked.accepted(), checked.capabilities)}


def test_work_is_what_people_post_by_hand_and_gates_by_local_day(project):
    days = work(project)
    assert {day: (found.hand_offs, found.gates) for day, found in days.items()} == {
        "01-10": (1, 0),
        "01-11": (1, 0),
        "01-12": (1, 1),
        "01-13": (1, 0),
        "01-14": (0, 1),
        "01-15": (1, 0),
        "01-16": (2, 0),
    }


def test_work_tells_the_first_the_last_and_the_busiest_hour(project):
    project.change("{id: east, name: East, channel: screen}", "{id: east, name: East, channel: by_hand}")
    day = work(project)["01-16"]
    assert (day.hand_offs, f"{day.first:%H:%M}", f"{day.last:%H:%M}") == (4, "10:00", "12:00")
    assert (day.busiest_hour, day.at_once) == (10, 2)


def test_a_day_with_a_gate_alone_has_no_hours(project):
    day = work(project)["01-14"]
    assert (day.first, day.last, day.busiest_hour, day.at_once) == (None, None, None, 0)


def test_nothing_is_asked_of_people_where_machines_post_and_no_gate_stands(project):
    text = LAUNCH.replace("channel: by_hand", "channel: screen") + "waive: {link/trust-gate: no gates at all}\n"
    assert work(project.write(re.sub(r"    gate:\n(?:      .+\n)+", "", text))) == {}
