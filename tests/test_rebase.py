"""A changed plan on a running edition, without a ledger: what stays, which numbers, what differs."""

from datetime import timedelta

import pytest

from drumroll.operate.running import Reader
from drumroll.plan.diff import diff
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.promises import GONE, Spoken, Value, broken_promises
from drumroll.plan.rebase import CORRECTIONS, as_it_runs, rebase
from drumroll.words.render import Words
from tests.launch_files import SERIAL, new_project

WELCOME = "en/recruit/welcome.md.j2"
TERMS = '      - id: terms\n        at: "D-1 23:00"\n        topic: price and terms\n'
EXTRA = '      - id: evening\n        at: "D-1 20:00"\n        topic: an evening more\n'


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path)


def numbers(plan: Plan) -> dict[str, int | None]:
    return {step.id: step.number for step in plan.steps if step.number is not None}


def test_a_removed_step_leaves_the_numbers_after_it_alone(project):
    old = project.plan()
    new = rebase(old, project.change(TERMS, "").plan(), {"welcome", "the-noise"})
    assert numbers(new) == {"welcome": 1, "the-noise": 2, "the-host": 3, "order": 5}
    assert [(step.id, step.number) for step in new.retired] == [("terms", 4)]


def test_an_inserted_step_moves_the_unbegun_ones_after_it_up(project):
    old = project.plan()
    new = rebase(old, project.change("      - id: terms", EXTRA + "      - id: terms").plan(), {"welcome"})
    assert numbers(new) == {"welcome": 1, "the-noise": 2, "the-host": 3, "evening": 4, "terms": 5, "order": 6}


def test_a_retired_number_is_never_given_again(project):
    first = project.plan()
    second = rebase(first, project.change(TERMS, "").plan(), {"welcome"})
    third = rebase(
        second,
        project.change("  ignite:", "  ignite:")
        .change("      - id: two-hours", EXTRA + "      - id: two-hours")
        .plan(),
        {"welcome"},
    )
    assert numbers(third) == {"welcome": 1, "the-noise": 2, "the-host": 3, "evening": 5, "order": 6}
    assert [step.id for step in third.retired] == ["terms"]


def test_each_announcement_teases_the_one_that_now_comes_next(project):
    new = rebase(project.plan(), project.change(TERMS, "").plan(), {"welcome", "the-noise", "the-host"})
    teased = {step.id: step.follows_up for step in new.steps if step.number}
    assert teased == {"welcome": "the-noise", "the-noise": "the-host", "the-host": "order", "order": None}


def test_what_has_begun_stays_as_it_was_even_when_the_file_drops_it(project):
    old = project.plan()
    noise = '      - id: the-noise\n        at: "D-4 19:00"\n        topic: what the noise does\n'
    new = rebase(old, project.change(noise, "").change('"D-6 10:00"', '"D-6 11:00"').plan(), {"welcome", "the-noise"})
    where = {"template": "under a name of its own, when the file has no such source any more"}
    for name in ("welcome", "the-noise"):
        assert new.step(name).model_copy(update=where) == old.step(name).model_copy(update=where)
    assert new.retired == ()


def test_a_begun_step_keeps_its_own_words_when_its_template_changes(project):
    project.template("en/parts/foot.txt", "old foot")
    project.template(WELCOME, SERIAL + "{% include 'en/parts/foot.txt' %}\n")
    old = project.plan()
    said = Words(old).text(old.step("welcome"), now=old.step("welcome").due)
    new = rebase(old, project.template("en/parts/foot.txt", "new foot").plan(), {"welcome"})
    assert said.endswith("old foot")
    assert Words(new).text(new.step("welcome"), now=new.step("welcome").due) == said
    again = rebase(new, project.template(WELCOME, SERIAL + "altogether new\n").plan(), {"welcome"})
    assert Words(again).text(again.step("welcome"), now=again.step("welcome").due) == said


def test_words_that_did_not_change_are_stored_once(project):
    old = project.plan()
    new = rebase(old, project.change("price and terms", "the price").plan(), {"welcome"})
    assert new.templates == old.templates
    assert (new.edition, new.hash != old.hash) == (old.edition, True)


def test_another_opening_moves_what_has_not_begun_and_keeps_the_edition(project):
    old = project.plan()
    new = rebase(old, project.plan("2027-01-17 12:00"), {"welcome", "roll-call", "the-noise"})
    day = timedelta(days=1)
    assert {step.id for step in new.steps if step.due == old.step(step.id).due} == {"welcome", "roll-call", "the-noise"}
    assert all(step.due - old.step(step.id).due == day for step in new.steps[3:])
    assert (new.opens - old.opens, new.edition) == (day, "kettle@2027-01-16")


def test_a_phase_that_is_over_stays_and_one_that_has_begun_keeps_its_start(project):
    old = project.plan()
    shifted = project.plan("2027-01-17 12:00")
    new = rebase(old, shifted, {"welcome", "the-host"}, over={"recruit"})
    assert new.phase("recruit") == old.phase("recruit")
    assert new.phase("nurture").starts == old.phase("nurture").starts
    assert new.phase("nurture").gate_at == shifted.phase("nurture").gate_at
    assert new.phase("ignite") == shifted.phase("ignite")


def test_the_rules_see_the_numbers_and_instants_of_the_edition(project):
    old = project.plan()
    compiled = project.change(TERMS, "").plan("2027-01-17 12:00")
    seen = as_it_runs(old, compiled, {"welcome"})
    assert numbers(seen) == {"welcome": 1, "the-noise": 2, "the-host": 3, "order": 5}
    assert seen.step("welcome").due == old.step("welcome").due
    assert {step.id for step in seen.steps} == {step.id for step in compiled.steps}


def test_a_correction_stays_through_later_changes_unless_it_is_dropped(project):
    plan = project.plan()
    at = plan.step("welcome").due
    correction = plan.step("roll-call").model_copy(
        update={"id": "correction-1", "template": f"{CORRECTIONS}1", "due": at}
    )
    old = plan.model_copy(
        update={"steps": (*plan.steps, correction), "templates": {**plan.templates, f"{CORRECTIONS}1": "Sorry"}}
    )
    new = rebase(old, project.change("price and terms", "the price").plan(), set())
    assert Words(new).text(new.step("correction-1"), now=at) == "Sorry"
    without = rebase(old, project.plan(), set(), dropped={"correction-1"})
    assert [step.id for step in without.retired] == ["correction-1"]


# ── what differs ──


def changes(project, old, begun=frozenset(), opens=None):
    new = rebase(old, project.plan(opens), begun)
    return diff(old, new, begun, Reader())


def test_the_same_plan_differs_in_nothing(project):
    old = project.plan()
    assert not changes(project, old)


def test_a_gate_that_has_spoken_is_changed_in_vain(project):
    old = project.plan()
    new = rebase(old, project.change("at_least: 30", "at_least: 40").plan(), {"welcome"}, over={"recruit"})
    found = diff(old, new, {"welcome"}, Reader(), over={"recruit"})
    assert (found.settings, found.settings_in_vain) == ((), ("phases.recruit.gate",))
    assert changes(project, old).settings == ("phases.recruit.gate",)


def test_a_changed_setting_is_named_to_its_key(project):
    old = project.plan()
    project.change("price: 3980", "price: 3990").change("name: the kettle people", "name: kettle people")
    project.change("name: East,", "name: Far East,").change("silent_for: 3d", "silent_for: 2d")
    assert changes(project, old).settings == (
        "product.price",
        "team.name",
        "community.groups.east",
        "community.segments.silent",
    )


def test_a_shift_moves_and_changes_no_words(project):
    old = project.plan()
    found = changes(project, old, opens="2027-01-17 12:00")
    assert {moved.step.id for moved in found.moved} == {step.id for step in old.steps}
    assert (found.changed, found.renumbered, found.added, found.removed, found.settings) == ((), (), (), (), ())


def test_a_changed_topic_changes_the_text_and_the_tease_before_it(project):
    old = project.plan()
    project.change("topic: price and terms", "topic: the price")
    found = {changed.step.id: changed for changed in changes(project, old).changed}
    assert {name: changed.fields for name, changed in found.items()} == {
        "the-host": ("text",),
        "terms": ("topic", "text"),
    }
    assert "price and terms" in found["terms"].was
    assert "the price" in found["terms"].becomes


def test_a_moved_step_is_moved_and_neither_it_nor_its_teaser_changed(project):
    old = project.plan()
    found = changes(project.change('"D-1 23:00"', '"D-1 22:30"'), old)
    assert [(moved.step.id, moved.becomes - moved.was) for moved in found.moved] == [("terms", timedelta(minutes=-30))]
    assert found.changed == ()


def test_added_removed_and_renumbered_steps_are_told_apart(project):
    old = project.plan()
    project.change("      - id: terms", EXTRA + "      - id: terms").change(
        '      - id: nudge\n        at: "D-2 12:00"\n        kind: prompt\n        segment: silent\n        to: [east]\n',
        "",
    )
    found = changes(project, old)
    assert ([step.id for step in found.added], [step.id for step in found.removed]) == (["evening"], ["nudge"])
    assert [(each.step.id, each.was, each.becomes) for each in found.renumbered] == [("terms", 4, 5), ("order", 5, 6)]


def test_places_outside_the_steps_are_named(project):
    old = project.plan()
    project.change("host: Ann Boil", "host: Ann Steam").change("at_least: 30", "at_least: 40")
    found = changes(project, old)
    assert found.settings == ("facts.host", "phases.recruit.gate")
    assert [changed.step.id for changed in found.changed] == ["the-host"]


# ── promises ──


def spoken(plan: Plan, step_id: str) -> Spoken:
    step = plan.step(step_id)
    reading = Reader()(plan, step, step.due)
    return Spoken(step_id, plan, step, step.due, "", ("east",), step.due, reading[1])


def broken(old: Plan, new: Plan, *sent: str, told=None, reopened=frozenset()):
    texts = [spoken(old, name) for name in sent]
    now = max(text.sent_at for text in texts)
    return broken_promises(texts, old, new, set(sent), Reader(), now=now, told=told or {}, reopened=reopened)


def found(promises) -> list[tuple[str, str, str]]:
    return [(promise.spoken.step.id, promise.about, promise.said) for promise in promises]


def test_the_same_clock_on_another_day_is_a_broken_promise(project):
    old = project.template(WELCOME, "We open at {{ opens | clock }}. " + SERIAL).plan()
    new = rebase(old, project.plan("2027-01-17 12:00"), {"welcome", "the-noise"})
    (promise,) = broken(old, new, "welcome")
    assert (promise.about, promise.said, promise.becomes) == ("opening", "12:00", Value(at=new.opens))


def test_a_tease_whose_announcement_went_out_as_promised_is_kept(project):
    old = project.plan()
    new = rebase(old, project.plan("2027-01-17 12:00"), {"welcome", "the-noise"})
    assert found(broken(old, new, "welcome", "the-noise")) == [("the-noise", "the-host", "tomorrow at 20:00")]


def test_a_teased_step_that_is_taken_out_breaks_the_tease(project):
    old = project.plan()
    new = rebase(old, project.change(TERMS, "").plan(), {"the-host"})
    assert {(promise.about, promise.becomes) for promise in broken(old, new, "the-host")} == {("terms", GONE)}


def test_another_topic_for_what_was_teased_breaks_the_tease(project):
    old = project.plan()
    new = rebase(old, project.change("topic: price and terms", "topic: the price").plan(), {"the-host"})
    (promise,) = broken(old, new, "the-host")
    assert (promise.said, promise.becomes) == ("price and terms", Value(words="the price"))


def test_an_announcement_put_in_between_breaks_no_tease_that_still_comes_true(project):
    old = project.plan()
    new = rebase(old, project.change("      - id: terms", EXTRA + "      - id: terms").plan(), {"the-host"})
    assert broken(old, new, "the-host") == []


def test_a_number_that_was_teased_is_a_promise_as_well(project):
    old = project.template("en/nurture/the-host.md.j2", "{{ facts.host }}. Next {{ teaser.label }}. " + SERIAL).plan()
    new = rebase(old, project.change("      - id: terms", EXTRA + "      - id: terms").plan(), {"the-host"})
    (promise,) = broken(old, new, "the-host")
    assert (promise.said, promise.becomes.words) == ("No. 04", "No. 05")


def test_a_fact_that_is_a_moment_is_a_promise(project):
    project.change("facts:\n", 'facts:\n  parcels: {at: "D+5 09:00"}\n')
    old = project.template(WELCOME, "Parcels leave on {{ facts.parcels | day }}. " + SERIAL).plan()
    new = rebase(old, project.change('"D+5 09:00"', '"D+6 09:00"').plan(), {"welcome"})
    (promise,) = broken(old, new, "welcome")
    assert (promise.said, promise.about) == ("Thu, Jan 21", "time")


def test_a_heads_up_for_an_announcement_that_moves_is_broken(project):
    heads_up = '      - id: tonight\n        at: "D-1 12:00"\n        kind: heads_up\n        counts_to: "D-1 23:00"\n'
    project.change("      - id: terms", heads_up + "      - id: terms")
    old = project.template("en/ignite/heads_up.md.j2", "Something {{ counts_to | when }}.\n").plan()
    new = rebase(old, project.change('        at: "D-1 23:00"', '        at: "D-1 22:00"').plan(), {"tonight"})
    (promise,) = broken(old, new, "tonight")
    assert (promise.said, promise.about, promise.becomes.at) == ("tonight at 23:00", "terms", new.step("terms").due)


def test_what_a_correction_has_said_since_is_what_members_know(project):
    old = project.template(WELCOME, "We open {{ opens | day }}. " + SERIAL).plan()
    begun = {"welcome", "the-noise"}
    first = rebase(old, project.plan("2027-01-17 12:00"), begun)
    texts, reader, now = [spoken(old, "welcome")], Reader(), old.step("welcome").due
    told = {"welcome/0": Value(at=first.opens)}
    back = rebase(first, project.plan("2027-01-16 12:00"), begun)

    def promises(before, after, **known):
        return broken_promises(texts, before, after, begun, reader, now=now, **{"told": {}, **known})

    assert len(promises(old, first)) == 1
    assert promises(first, first) == []  # known to be broken, and not by this change
    assert len(promises(first, back, told=told)) == 1  # the correction went out, and is wrong now
    assert promises(first, back) == []  # nobody was ever told otherwise
    assert len(promises(first, first, reopened={"welcome/0"})) == 1  # its correction was dropped


def test_a_step_given_to_the_rules_carries_the_template_of_the_file(project):
    old = project.plan()
    compiled = project.template(WELCOME, SERIAL + "new\n").plan()
    seen = as_it_runs(old, compiled, {"welcome"})
    assert isinstance(seen.step("welcome"), PlannedStep)
    assert seen.step("welcome").template == WELCOME
