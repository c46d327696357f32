"""Changing a running edition: the ledger's one transaction, promises against an oracle, a process that goes on."""

import asyncio
import re
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from ledger_rows import EDITION, MINUTE, NOW, begin, new, take

from drumroll.check import check_file
from drumroll.clock import VirtualClock
from drumroll.errors import DrumrollError, LedgerError
from drumroll.ledger.changes import OvertakenError, PlanChange, RowMove
from drumroll.ledger.ledger import open_ledger
from drumroll.ledger.model import DecisionRow, Settlement
from drumroll.operate.beats import next_beat
from drumroll.operate.changes import enact, propose, refusals
from drumroll.operate.correction import changes, correction_at, with_correction
from drumroll.operate.edition import Where
from drumroll.operate.edition import begin as begin_edition
from drumroll.operate.gating import decide, read_gate
from drumroll.operate.recompile import from_file, local_moment, new_opening, with_opening
from drumroll.operate.running import Reader, look, texts_sent
from drumroll.plan.rebase import is_correction
from drumroll.plan.reread import on_schedule
from drumroll.rehearsal.stage import set_stage
from drumroll.words.corrections import literal
from drumroll.words.render import Words
from tests.driver import drive, say
from tests.launch_files import SERIAL, Project, new_project

ROOT = Path(__file__).parent.parent
DAY = timedelta(days=1)

# ── the ledger ──


def change(ledger, **parts):
    """A change of the edition's plan; everything in it is empty unless given."""
    values = {
        "plan_hash": "hash-2",
        "document": '{"version": 2}',
        "title": "二",
        "opens_at": NOW + DAY,
        "moved": (),
        "cancelled": (),
        "added": (),
        "unsaid": (),
        "reason": "taken out",
        "decisions": (DecisionRow(EDITION, "plan", "apply hash-2", "Ann", "", NOW),),
    }
    return PlanChange(**values | parts)


def rows(ledger):
    return {(row.step, row.recipient): row for row in ledger.deliveries(EDITION)}


def version(ledger):
    return ledger.plan_versions(EDITION)[-1]


def test_a_change_is_written_whole(ledger):
    begin(ledger, new("one"), new("two"))
    one, two = rows(ledger)["one", "g1"], rows(ledger)["two", "g1"]
    moved = RowMove(one, "ignite", "hand", NOW + DAY, NOW + DAY - MINUTE)
    made = change(ledger, moved=[moved], cancelled=[two], added=[new("three")])
    assert ledger.change_plan(EDITION, made, since=version(ledger), now=NOW + MINUTE) == 2
    found = rows(ledger)
    one = found["one", "g1"]
    assert (one.phase, one.channel, one.due_at, one.fire_at, one.state) == (
        "ignite",
        "hand",
        NOW + DAY,
        NOW + DAY - MINUTE,
        "due",
    )
    assert (found["two", "g1"].state, found["two", "g1"].error) == ("cancelled", "taken out")
    assert found["three", "g1"].state == "due"
    edition = ledger.edition(EDITION)
    assert (edition.plan_version, edition.opens_at, edition.title) == (2, NOW + DAY, "二")
    assert (ledger.plan_hash(EDITION), ledger.plan_document(EDITION)) == ("hash-2", '{"version": 2}')
    assert [(each.subject, each.choice, each.by) for each in ledger.decisions(EDITION)] == [
        ("plan", "apply hash-2", "Ann")
    ]
    assert [each.version for each in ledger.plan_versions(EDITION)] == [1, 2]


def test_of_two_changes_on_the_same_plan_the_second_is_refused(ledger):
    begin(ledger, new("one"))
    since = version(ledger)
    ledger.change_plan(EDITION, change(ledger), since=since, now=NOW)
    with pytest.raises(OvertakenError, match="somebody else changed the plan"):
        ledger.change_plan(EDITION, change(ledger, plan_hash="hash-3"), since=since, now=NOW)
    assert ledger.plan_hash(EDITION) == "hash-2"


def test_two_changes_at_once_never_interleave(ledger_url):
    first = open_ledger(ledger_url)
    begin(first, new("one"))
    since, ended, start = version(first), [], threading.Barrier(2)

    def apply(name):
        start.wait()
        try:
            first.change_plan(EDITION, change(first, plan_hash=name), since=since, now=NOW)
            ended.append(name)
        except OvertakenError:
            ended.append(None)

    threads = [threading.Thread(target=apply, args=(name,)) for name in ("hash-a", "hash-b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = filter(None, ended)
    assert (len(ended), first.plan_hash(EDITION), first.edition(EDITION).plan_version) == (2, winner, 2)
    first.close()


@pytest.mark.parametrize("how", ["moved", "cancelled"])
def test_a_delivery_that_was_claimed_meanwhile_undoes_the_change(ledger, how):
    begin(ledger, new("one"), new("two"))
    seen, since = rows(ledger), version(ledger)
    (claim,) = take(ledger, "two")
    parts = {
        "moved": [RowMove(seen[name, "g1"], "recruit", "webhook", NOW + DAY, NOW + DAY) for name in ("one", "two")],
        "cancelled": [seen["one", "g1"], seen["two", "g1"]],
    }
    with pytest.raises(OvertakenError) as raised:
        ledger.change_plan(EDITION, change(ledger, **{how: parts[how]}), since=since, now=NOW)
    assert raised.value.what == (claim.key,)
    assert rows(ledger)["one", "g1"] == seen["one", "g1"]
    assert (ledger.plan_hash(EDITION), ledger.decisions(EDITION)) == ("hash-1", [])


def test_words_or_recipients_settled_meanwhile_undo_the_change(ledger):
    begin(ledger, new("one"))
    since = version(ledger)
    ledger.keep_wording(EDITION, "direct", 1, "hi", now=NOW)
    ledger.schedule(EDITION, [new("other", member="m1")])
    with pytest.raises(OvertakenError) as raised:
        ledger.change_plan(EDITION, change(ledger, unsaid=["direct", "other", "third"]), since=since, now=NOW)
    assert raised.value.what == ("direct", "other")


def test_a_delivery_that_is_there_already_is_not_added_again(ledger):
    begin(ledger, new("one"))
    with pytest.raises(LedgerError, match="is there already"):
        ledger.change_plan(EDITION, change(ledger, added=[new("one")]), since=version(ledger), now=NOW)
    assert ledger.plan_hash(EDITION) == "hash-1"


@pytest.mark.parametrize("state", ["done", "aborted"])
def test_an_edition_that_is_over_keeps_its_plan(ledger, state):
    begin(ledger, new("one"))
    since = version(ledger)
    ledger.set_edition_state(EDITION, state, NOW)
    with pytest.raises(LedgerError, match=f"is {state}"):
        ledger.change_plan(EDITION, change(ledger), since=since, now=NOW)


def test_an_edition_that_was_never_begun_has_no_versions(ledger):
    with pytest.raises(LedgerError, match="no plan of an edition"):
        ledger.plan_versions("x@1")


def test_a_moved_delivery_is_claimed_at_its_new_instant_only(ledger):
    begin(ledger, new("one"))
    moved = RowMove(rows(ledger)["one", "g1"], "recruit", "webhook", NOW + DAY, NOW + DAY)
    ledger.change_plan(EDITION, change(ledger, moved=[moved]), since=version(ledger), now=NOW - MINUTE)
    assert take(ledger, "one", now=NOW + MINUTE) == []
    assert len(take(ledger, "one", now=NOW + DAY)) == 1


# ── an edition of the kettle, halfway ──

WELCOME = "We open {{ opens | day }} at {{ opens | clock }}. " + SERIAL


@dataclass
class Stage:
    """The kettle's edition with its project, its clock and its ledger."""

    project: Project
    where: Where
    clock: VirtualClock

    @property
    def ledger(self):
        return self.where.open()

    @property
    def plan(self):
        return self.where.plan()

    def drive(self, phase="recruit", beats=1_000):
        return asyncio.run(drive(self.where, phase, self.clock, beats=beats))

    def look(self):
        return look(self.ledger, self.where.edition)

    def file(self):
        found = from_file(self.project.file, self.ledger)
        return propose(found.running, found.plan, now=self.clock.now())

    def shifted(self, to="+1d"):
        running = self.look()
        return propose(running, with_opening(running, new_opening(to, running.plan)), now=self.clock.now())

    def enact(self, proposal, plan=None, what="apply", **options):
        assert refusals(proposal) == []
        return enact(proposal, plan or proposal.plan, what=what, by="Ann", reason="", now=self.clock.now(), **options)

    def correct(self, proposal, **options):
        at = correction_at(proposal.plan.launch, now=self.clock.now())
        options = {"at": at, "project": self.project.root, **options}
        return with_correction(proposal.running, proposal.plan, proposal.broken, **options)

    def states(self, step):
        return {row.recipient: row.state for row in self.ledger.deliveries(self.where.edition, step=step)}


@pytest.fixture
def kettle(tmp_path):
    project = new_project(tmp_path)
    project.template("en/recruit/welcome.md.j2", WELCOME)
    project.template(
        "en/corrections/correction.md.j2", (ROOT / "templates/en/corrections/correction.md.j2").read_text()
    )
    plan = project.plan()
    where = Where(plan.edition, f"sqlite:///{tmp_path / 'ledger.db'}", str(tmp_path))
    clock = VirtualClock(plan.phases[0].starts)
    begin_edition(plan, ledger=where.open(), rehearsal=False, now=clock.now())
    stage = Stage(project, where, clock)
    yield stage
    stage.ledger.close()


def told(proposal):
    return [(promise.spoken.step.id, promise.about, promise.said) for promise in proposal.broken]


def test_a_shift_breaks_exactly_the_promises_that_name_the_opening_or_what_moves(kettle):
    kettle.drive(beats=6)  # welcome, roll-call and the-noise are out
    assert told(kettle.shifted()) == [
        ("welcome", "opening", "Sat, Jan 16 12:00"),
        ("the-noise", "the-host", "tomorrow at 20:00"),
    ]


def test_a_shift_moves_the_rows_the_gates_and_the_edition_and_no_begun_step(kettle):
    kettle.drive(beats=6)
    before = {row.key: row for row in kettle.ledger.deliveries(kettle.where.edition)}
    old = kettle.plan
    kettle.enact(kettle.shifted(), what="shift")
    for row in kettle.ledger.deliveries(kettle.where.edition):
        moved = timedelta(0) if row.step in {"welcome", "roll-call", "the-noise"} else DAY
        assert (row.due_at - before[row.key].due_at, row.fire_at - before[row.key].fire_at) == (moved, moved)
    assert kettle.plan.phase("ignite").gate_at - old.phase("ignite").gate_at == DAY
    assert kettle.ledger.edition(kettle.where.edition).opens_at == old.opens + DAY
    assert kettle.plan.launch.opens == "2027-01-17 12:00"


def test_the_correction_goes_out_and_a_shift_back_breaks_its_word(kettle):
    kettle.drive(beats=6)
    proposal = kettle.shifted()
    plan, step = kettle.correct(proposal)
    kettle.enact(proposal, plan, what="shift")
    assert kettle.drive(beats=2) == ""
    assert kettle.states("correction-1") == {"east": "sent", "west": "awaiting"}
    (text,) = [each.text for each in kettle.ledger.wordings(kettle.where.edition) if each.step == "correction-1"]
    assert "The opening: we told you Sat, Jan 16, 12:00 (No. 01). It is now Sun, Jan 17, 12:00." in text
    assert kettle.clock.now() == step.due
    back = kettle.shifted("-1d")
    assert [promise.was.at for promise in back.broken] == [plan.opens, plan.step("the-host").due]


def test_a_correction_that_never_went_out_is_replaced_by_the_next_one(kettle):
    kettle.drive(beats=6)
    first = kettle.shifted()
    kettle.enact(first, kettle.correct(first)[0], what="shift")
    second = kettle.shifted()
    plan, step = kettle.correct(second)
    kettle.enact(second, plan, what="shift")
    assert step.id == "correction-2"
    assert kettle.states("correction-1") == {"east": "cancelled", "west": "cancelled"}
    assert [each.id for each in kettle.plan.steps if is_correction(each)] == ["correction-2"]
    back = kettle.shifted("-2d")
    assert (told(back), [each.id for each in back.difference.removed]) == ([], ["correction-2"])


def test_a_correction_survives_an_apply_that_has_nothing_to_do_with_it(kettle):
    kettle.drive(beats=6)
    first = kettle.shifted()
    kettle.enact(first, kettle.correct(first)[0], what="shift")
    kettle.project.change("topic: the way to order", "topic: the order page")
    proposal = kettle.file()
    assert told(proposal) == []
    kettle.enact(proposal)
    assert kettle.states("correction-1") == {"east": "due", "west": "due"}
    assert "Sun, Jan 17, 12:00" in Words(kettle.plan).text(kettle.plan.step("correction-1"), now=kettle.clock.now())


def test_without_a_correction_the_reason_is_on_record_and_the_next_change_is_quiet(kettle):
    kettle.drive(beats=6)
    kettle.enact(kettle.shifted(), what="shift", no_correction="told them by voice")
    decided = [(each.subject, each.choice, each.reason) for each in kettle.ledger.decisions(kettle.where.edition)]
    assert decided == [("plan", f"shift {kettle.plan.hash[:12]}", ""), ("correction", "none", "told them by voice")]
    kettle.project.change("topic: the way to order", "topic: the order page")
    assert told(kettle.file()) == []


def test_every_thing_is_corrected_once_and_a_step_taken_out_is_called_off(kettle):
    kettle.drive(beats=6)
    host = '      - id: the-host\n        at: "D-3 20:00"\n        topic: who made it\n        mystery: somebody you have met\n        reveals: [host]\n'
    kettle.project.change(host, "")
    proposal = kettle.file()
    plan, _ = kettle.correct(proposal)
    (change,) = changes(plan, proposal.broken)
    assert (change["label"], change["said"], change["now"]) == (
        "No. 02",
        "Wed, Jan 13, 20:00, somebody you have met",
        None,
    )
    kettle.enact(proposal, plan)
    assert kettle.states("the-host") == {"east": "cancelled", "west": "cancelled"}
    assert [each.id for each in kettle.plan.retired] == ["the-host"]
    assert {each.id: each.number for each in kettle.plan.steps if each.number} == {
        "welcome": 1,
        "the-noise": 2,
        "terms": 4,
        "order": 5,
    }


def test_a_notice_of_ones_own_is_said_to_the_letter(kettle):
    kettle.drive(beats=6)
    proposal = kettle.shifted()
    text = "Sorry {{ team.name }}! {% raw %} {# 1 #} {{{{ 90% {x} }}"
    plan, step = kettle.correct(proposal, notice=text)
    assert Words(plan).text(step, now=step.due) == text
    assert literal("plain {words}") == "plain {words}"


def test_the_chinese_correction_names_weekday_and_date(kettle):
    kettle.drive(beats=6)
    kettle.project.template(
        "zh-Hant/corrections/correction.md.j2", (ROOT / "templates/zh-Hant/corrections/correction.md.j2").read_text()
    )
    proposal = kettle.shifted()
    launch = proposal.plan.launch.model_copy(update={"locale": "zh-Hant"})
    proposal = replace(proposal, plan=proposal.plan.model_copy(update={"launch": launch}))
    plan, step = kettle.correct(proposal)
    text = Words(plan).text(step, now=step.due)
    assert "開始的時間：之前在No. 01說的是「1月16日（週六）12:00」，現在改成「1月17日（週日）12:00」。" in text
    assert "「somebody you have met」：之前在No. 02說的是" in text


def test_a_correction_waits_for_the_end_of_the_quiet_hours(kettle):
    zone, launch = ZoneInfo("Asia/Taipei"), kettle.plan.launch
    at = correction_at(launch, now=datetime(2027, 1, 12, 23, 20, tzinfo=zone))
    assert at.astimezone(zone) == datetime(2027, 1, 13, 8, 0, tzinfo=zone)
    assert correction_at(launch, now=datetime(2027, 1, 12, 12, 0, 30, tzinfo=zone)) == datetime(
        2027, 1, 12, 12, 16, tzinfo=zone
    )


def corrected(kettle, proposal):
    plan, step = kettle.correct(proposal)
    return [line for line in Words(plan).text(step, now=step.due).splitlines() if "told you" in line]


def test_a_correction_says_what_moved_and_names_another_year(kettle):
    kettle.drive(beats=6)
    assert corrected(kettle, kettle.shifted("+400d")) == [
        "The opening: we told you Sat, Jan 16, 12:00 (No. 01). It is now Sun, Feb 20, 2028, 12:00.",
        "“somebody you have met”: we told you Wed, Jan 13, 20:00 (No. 02). It is now Thu, Feb 17, 2028, 20:00.",
    ]


def test_a_text_that_named_only_the_day_holds_all_day_and_is_quoted_so(kettle):
    kettle.project.template("en/recruit/welcome.md.j2", "We open {{ opens | day }}. " + SERIAL)
    kettle.enact(kettle.file())
    kettle.drive(beats=6)
    assert "welcome" not in {step for step, _, _ in told(kettle.shifted("+2h"))}
    assert corrected(kettle, kettle.shifted())[0] == (
        "The opening: we told you Sat, Jan 16 (No. 01). It is now Sun, Jan 17."
    )


def test_an_hour_is_quoted_without_its_day_only_where_the_day_stays(kettle):
    kettle.project.template("en/recruit/welcome.md.j2", "We open at {{ opens | clock }}. " + SERIAL)
    kettle.enact(kettle.file())
    kettle.drive(beats=6)
    assert corrected(kettle, kettle.shifted("+2h"))[0] == (
        "The opening: we told you 12:00 (No. 01). It is now Sat, Jan 16, 14:00."
    )
    assert "we told you Sat, Jan 16, 12:00 (No. 01)" in corrected(kettle, kettle.shifted())[0]


def test_a_hand_off_whose_instant_is_to_come_is_handed_over_again_and_corrected_by_nobody(kettle):
    kettle.drive(beats=1)  # the welcome is West's already, and due for East
    proposal = kettle.shifted()
    assert told(proposal) == []
    kettle.enact(proposal, what="shift")
    kettle.drive(beats=1)
    (row,) = [each for each in kettle.ledger.deliveries(kettle.where.edition, step="welcome") if each.group == "west"]
    assert row.state == "awaiting"
    assert "We open Sun, Jan 17 at 12:00." in kettle.ledger.wording(row.wording)


def test_a_hand_off_in_words_that_still_hold_is_left_with_its_person(kettle):
    kettle.drive(beats=1)
    kettle.project.change("topic: the way to order", "topic: the order page")
    kettle.enact(kettle.file())
    assert kettle.states("welcome") == {"east": "due", "west": "awaiting"}


def test_a_correction_names_the_groups_that_were_told_where_others_were_not(kettle):
    kettle.project.change('at: "D-4 19:00"\n', 'at: "D-4 19:00"\n        to: [east]\n')
    kettle.enact(kettle.file())
    kettle.drive(beats=6)
    first, second = corrected(kettle, kettle.shifted())
    assert "(No. 01)" in first
    assert "(No. 02, in East)" in second


def test_a_correction_waits_until_what_it_corrects_has_been_read(kettle):
    kettle.drive(beats=6)
    proposal = kettle.shifted()
    later = kettle.clock.now() + timedelta(hours=1)
    late = [replace(each, spoken=replace(each.spoken, read_by=later)) for each in proposal.broken]
    assert correction_at(kettle.plan.launch, now=kettle.clock.now(), broken=late) > later


def test_an_announcement_that_goes_by_another_name_is_not_called_off(kettle):
    kettle.drive(beats=6)
    kettle.project.change("- id: the-host", "- id: our-host\n        template: nurture/the-host")
    assert told(kettle.file()) == []
    kettle.project.change('at: "D-3 20:00"', 'at: "D-3 21:00"')
    (promise,) = kettle.file().broken
    assert (promise.said, promise.becomes.at) == ("tomorrow at 20:00", kettle.file().plan.step("our-host").due)


def test_a_price_a_fact_and_a_promise_that_were_told_are_promises(kettle):
    kettle.project.change("persona:", "promises:\n  quiet: no noise before ten\n  calls: nobody calls you\n\npersona:")
    text = "{{ product.price | money }}, by {{ facts.host }}.{% for one in promises %} {{ one }}.{% endfor %} " + SERIAL
    kettle.project.template("en/recruit/welcome.md.j2", text)
    kettle.project.change("        reveals: [host]\n", "")
    kettle.enact(kettle.file())
    kettle.drive(beats=6)
    kettle.project.change("price: 3980", "price: 4500").change("Ann Boil", "Bea Boil")
    kettle.project.change("no noise before ten", "no noise at all").change("  calls: nobody calls you\n", "")
    assert corrected(kettle, kettle.file()) == [
        "The price: we told you NT$3,980 (No. 01). It is now NT$4,500.",
        "We told you Ann Boil (No. 01). It is now Bea Boil.",
        "A promise: we told you no noise before ten (No. 01). It is now no noise at all.",
        "A promise: we told you nobody calls you (No. 01). That will not happen.",
    ]


def test_a_correction_of_a_price_is_what_members_know(kettle):
    kettle.project.template("en/recruit/welcome.md.j2", "{{ product.price | money }}. " + SERIAL)
    kettle.enact(kettle.file())
    kettle.drive(beats=6)
    kettle.project.change("price: 3980", "price: 4500")
    proposal = kettle.file()
    kettle.enact(proposal, kettle.correct(proposal)[0])
    kettle.drive(beats=2)
    kettle.project.change("price: 4500", "price: 3980")
    assert [(each.was.words, each.becomes.words) for each in kettle.file().broken] == [("NT$4,500", "NT$3,980")]


def test_all_steps_of_a_plan_are_read_on_one_schedule(kettle):
    old = kettle.plan
    new = with_opening(kettle.look(), old.opens + DAY)
    hybrids = {id(on_schedule(new, step, old)[0]) for step in new.steps}
    assert len(hybrids) == 1


def test_a_reader_keeps_a_few_plans_only(kettle):
    reader, plan = Reader(), kettle.plan
    copies = [plan.model_copy() for _ in range(30)]
    for copy in copies:
        assert reader(copy, copy.steps[0], copy.steps[0].due) is not None
    assert len(reader._words) <= 8


# ── what is refused ──


def test_a_group_that_was_spoken_to_stays(kettle):
    kettle.drive(beats=6)
    east = "{id: east, name: East, channel: screen}"
    kettle.project.change(east, east.replace("east", "north")).change("to: [east]", "to: [north]")
    assert 'group "east" was spoken to; keep it, and take it out of what is to come with `to:`' in refusals(
        kettle.file()
    )


def test_a_group_that_is_left_out_of_what_is_to_come_gets_no_more(kettle):
    kettle.drive(beats=6)
    kettle.project.change("        topic: price and terms\n", "        topic: price and terms\n        to: [west]\n")
    kettle.enact(kettle.file())
    assert kettle.states("terms") == {"east": "cancelled", "west": "due"}


def test_what_may_still_be_sent_follows_its_group_to_another_channel(kettle):
    kettle.drive(beats=1)  # the welcome is West's already, and due for East
    kettle.project.change("      lead: 30m\n", "      lead: 30m\n    other:\n      kind: hand_off\n      lead: 10m\n")
    kettle.project.change("name: East, channel: screen", "name: East, channel: other").change(
        '      - id: nudge\n        at: "D-2 12:00"\n        kind: prompt\n        segment: silent\n        to: [east]\n',
        "",
    )
    kettle.enact(kettle.file())
    found = {row.step: row for row in kettle.ledger.deliveries(kettle.where.edition) if row.recipient == "east"}
    assert {row.channel for row in found.values()} == {"other"}
    assert {row.due_at - row.fire_at for row in found.values()} == {timedelta(minutes=10)}


def test_a_step_moved_or_added_into_the_past_is_refused(kettle):
    kettle.drive(beats=6)  # it is D-4 19:00
    late = '      - id: too-late\n        at: "D-4 12:00"\n        kind: prompt\n'
    kettle.project.change(
        "    gate:\n      thresholds:\n        - metric: members",
        f"{late}    gate:\n      thresholds:\n        - metric: members",
    )
    assert refusals(kettle.file()) == ["too-late would be due Tue 2027-01-12 12:00, which has passed"]


def test_a_shift_into_the_past_lists_what_would_be_late(kettle):
    kettle.drive(beats=6)
    reasons = refusals(kettle.shifted("-2d"))
    assert "the-host would be due Mon 2027-01-11 20:00, which has passed" in reasons


def test_a_shift_into_the_quiet_hours_is_refused_for_what_is_to_come_only(kettle):
    kettle.drive(beats=6)
    with pytest.raises(DrumrollError, match="quiet hours") as raised:
        kettle.shifted("+12h")
    assert "phases.ignite" in str(raised.value)
    assert "phases.recruit" not in str(raised.value)


def test_a_name_that_was_taken_out_is_final(kettle):
    kettle.drive(beats=6)
    text = kettle.project.text
    kettle.project.change('      - id: terms\n        at: "D-1 23:00"\n        topic: price and terms\n', "")
    kettle.enact(kettle.file())
    kettle.project.write(text)
    assert refusals(kettle.file()) == [
        '"terms" was taken out of this edition, which is final; give the step another id'
    ]


def test_a_phase_stays(kettle):
    kettle.drive(beats=6)
    kettle.project.change(
        "  nurture:\n", '  build_up:\n    goal: Play\n    starts: "D-3 08:30"\n    ends: "D-3 08:45"\n  nurture:\n'
    )
    assert refusals(kettle.file())[0].startswith("the edition runs the phases recruit, nurture, ignite;")


@pytest.mark.parametrize("to", ["+30m", "+25h", "-1h"])
def test_what_stood_at_the_opening_cannot_be_left_beside_it(kettle, to):
    kettle.project.change('        at: "T"\n', '        at: "D 12:00"\n')
    kettle.enact(kettle.file())
    (reason,) = refusals(kettle.shifted(to))
    where = "after" if to.startswith("-") else "before"
    assert reason.startswith(f"order stood at the opening and would be due {where} it, ")
    assert refusals(kettle.shifted("+1d")) == []


def test_what_stood_after_the_opening_cannot_come_before_it(kettle):
    kettle.project.change('        at: "T"\n', '        at: "D 12:30"\n')
    kettle.enact(kettle.file())
    (reason,) = refusals(kettle.shifted("+1h"))
    assert reason.startswith("order stood after the opening and would be due before it, ")


@pytest.mark.parametrize(
    ("name", "was", "becomes"), [("timezone", "Asia/Taipei", "Asia/Tokyo"), ("locale", "en", "zh-Hant")]
)
def test_what_members_were_spoken_to_in_stays(kettle, name, was, becomes):
    proposal = kettle.shifted()
    launch = proposal.plan.launch.model_copy(update={name: becomes})
    proposal = replace(proposal, plan=proposal.plan.model_copy(update={"launch": launch}))
    assert refusals(proposal)[0].startswith(f"{name} would be {becomes}, and members were spoken to in {was};")


def test_a_rule_that_is_younger_than_the_edition_stops_no_shift(kettle):
    running = kettle.look()
    launch = running.plan.launch
    nurture = launch.phases["nurture"]
    late = nurture.steps[0].model_copy(update={"at": "D-3 23:30"})  # in the quiet hours, as if no rule had said so
    phases = {**launch.phases, "nurture": nurture.model_copy(update={"steps": (late, *nurture.steps[1:])})}
    plan = running.plan.model_copy(update={"launch": launch.model_copy(update={"phases": phases})})
    running = replace(running, versions=((running.version, plan),))
    assert with_opening(running, plan.opens + DAY).opens == plan.opens + DAY
    with pytest.raises(DrumrollError, match="quiet hours") as raised:
        with_opening(running, plan.opens + timedelta(hours=12))
    assert "phases.ignite" in str(raised.value)


def test_what_has_opened_is_not_shifted(kettle):
    kettle.drive(beats=6)
    plan = kettle.plan
    kettle.clock = VirtualClock(plan.opens)
    sha = kettle.ledger.keep_wording(plan.edition, "order", 1, "x", now=plan.opens)
    for claim in kettle.ledger.claim(plan.edition, "order", 1, now=plan.opens, limit=9, lease=MINUTE):
        kettle.ledger.settle([Settlement(claim, "sent", wording=sha)], now=plan.opens)
    assert any(line.startswith("it has opened: order has begun") for line in refusals(kettle.shifted()))


# ── beside a running process ──


def test_a_step_begun_in_one_group_goes_out_in_the_others_as_planned(kettle):
    kettle.drive(beats=1)  # handed to West half an hour early
    assert kettle.states("welcome") == {"east": "due", "west": "awaiting"}
    kettle.enact(kettle.shifted(), what="shift")
    kettle.drive(beats=2)  # it is handed to West again, with the new opening
    assert (kettle.states("welcome")["east"], kettle.clock.now()) == ("sent", kettle.plan.step("welcome").due)


def test_another_process_follows_a_shift_at_once(kettle, tmp_path):
    kettle.drive(beats=6)
    (tmp_path / "door").symlink_to(tmp_path)
    other = Where(kettle.where.edition, f"sqlite:///{tmp_path}/door/ledger.db", kettle.where.project)
    assert other.open() is not kettle.ledger
    before = next_beat(other, "ignite", now=kettle.clock.now())
    kettle.enact(kettle.shifted(), what="shift")
    after = next_beat(other, "ignite", now=kettle.clock.now())
    assert (before.step, after.step, after.at - before.at) == ("the-host", "the-host", DAY)
    old_instant = VirtualClock(before.at)
    sent = asyncio.run(say(other, before, old_instant))  # it slept through the change, and wakes as it had planned
    assert sent.summary() == "nothing to do"
    assert kettle.states("the-host") == {"east": "due", "west": "due"}
    other.open().close()


def test_a_step_taken_out_while_a_process_waits_for_it_is_not_sent(kettle):
    kettle.drive(beats=6)
    beat = next_beat(kettle.where, "ignite", now=kettle.clock.now())
    host = '      - id: the-host\n        at: "D-3 20:00"\n        topic: who made it\n        mystery: somebody you have met\n        reveals: [host]\n'
    kettle.project.change(host, "")
    kettle.enact(kettle.file())
    asyncio.run(say(kettle.where, beat, VirtualClock(beat.at)))
    assert kettle.states("the-host") == {"east": "cancelled", "west": "cancelled"}


def test_a_gate_that_waits_to_be_read_again_moves_with_its_phase(kettle):
    kettle.drive(beats=6)
    gate_at = kettle.plan.phase("recruit").gate_at
    read_gate(kettle.where, "recruit", now=gate_at)  # nobody has joined: a remedy is asked for
    kettle.clock = VirtualClock(gate_at)
    again = kettle.ledger.last_check(kettle.where.edition, "recruit").next_check_at
    kettle.enact(kettle.shifted("+2d"), what="shift")
    remedy = next_beat(kettle.where, "recruit", now=gate_at)
    assert (remedy.what, remedy.step) == ("announce", "recruit.remedy.invite")
    moved = kettle.plan.phase("recruit").gate_at
    assert gate_at + 2 * DAY == moved > again
    for row in kettle.ledger.deliveries(kettle.where.edition, step="recruit.remedy.invite"):
        assert row.due_at == gate_at + timedelta(minutes=30)


def test_a_remedy_that_named_the_opening_broke_its_promise_as_well(kettle):
    kettle.project.template("en/recruit/invite.md.j2", "Bring a friend before {{ opens | day }}.\n")
    kettle.enact(kettle.file())
    kettle.drive(beats=9)  # the gate asks for its remedy, and that goes out
    assert "recruit.remedy.invite" in {text.step.id for text in texts_sent(kettle.look(), now=kettle.clock.now())}
    assert ("recruit.remedy.invite", "opening", "Sat, Jan 16") in told(kettle.shifted())


def test_a_gate_that_has_passed_stays_passed(kettle):
    kettle.drive(beats=6)
    gate_at = kettle.plan.phase("recruit").gate_at
    recruit = kettle.plan.phase("recruit")
    for attempt in range(9):
        read_gate(kettle.where, "recruit", now=gate_at + attempt * timedelta(hours=7))
        if kettle.ledger.last_check(kettle.where.edition, "recruit").verdict == "hold":
            break
    decide(kettle.where, "recruit", "pass", by="Ann", reason="enough", now=gate_at + timedelta(hours=20))
    kettle.clock = VirtualClock(gate_at + timedelta(hours=20))
    kettle.enact(kettle.shifted("+2d"), what="shift")
    assert kettle.plan.phase("recruit") == recruit
    beat = next_beat(kettle.where, "nurture", now=kettle.clock.now())
    assert (beat.step, beat.at) == ("recruit.remedy.invite", gate_at)


# ── openings ──


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("+1d", "2027-01-17 12:00"),
        ("-6h", "2027-01-16 06:00"),
        ("+1d6h", "2027-01-17 18:00"),
        ("2027-02-01 09:30", "2027-02-01 09:30"),
        ("+30s", "2027-01-16 12:00:30"),
    ],
)
def test_an_opening_is_asked_for_in_days_hours_or_a_date(kettle, text, local):
    assert local_moment(new_opening(text, kettle.plan), ZoneInfo("Asia/Taipei")) == local


@pytest.mark.parametrize("text", ["+", "tomorrow", "D+1 12:00", "-d", "+99999d"])
def test_an_opening_that_is_none_is_refused(kettle, text):
    with pytest.raises(DrumrollError):
        new_opening(text, kettle.plan)


def test_a_day_keeps_the_time_of_day_over_a_change_of_clocks():
    berlin = ZoneInfo("Europe/Berlin")
    opens = datetime(2027, 3, 27, 12, tzinfo=berlin)
    plan = type("P", (), {"opens": opens, "launch": type("L", (), {"timezone": "Europe/Berlin"})})
    assert new_opening("+1d", plan).astimezone(berlin) == datetime(2027, 3, 28, 12, tzinfo=berlin)
    assert local_moment(datetime(2027, 10, 31, 2, 30, tzinfo=berlin), berlin) == "2027-10-31 02:30 first"
    assert local_moment(datetime(2027, 10, 31, 2, 30, fold=1, tzinfo=berlin), berlin) == "2027-10-31 02:30 second"


# ── the phone, up to two days before it opens ──


async def up_to_the_trust_gate(where, clock):
    """Everything is sent; nobody is there, so every gate holds until Ann lets it pass."""
    plan = where.plan()
    for phase in ("recruit", "build_up"):
        await drive(where, phase, clock)
        decide(where, phase, "pass", by="Ann", reason="go on", now=clock.now())
    while (beat := next_beat(where, "nurture", now=clock.now())).at < plan.phase("nurture").gate_at:
        await clock.sleep_until(beat.at)
        await say(where, beat, clock)


def tells_what_moves(plan, step, sent, now):
    """Read from the template's source: the opening, a moment to come, or the tease of a step that is to come."""
    to_come = [f"facts.{name}" for name, at in plan.moments.items() if at > now]
    to_come += [f"vars.{name}" for name, at in step.moments.items() if at > now]
    source = plan.templates[step.template]
    tells = re.search("|".join(rf"\b{re.escape(name)}\b" for name in ["opens", *to_come]), source)
    return tells or ("teaser." in source and step.follows_up is not None and step.follows_up not in sent)


def test_the_phones_broken_promises_are_those_that_name_the_opening_or_what_had_not_come(tmp_path):
    """The oracle reads the templates' sources: who tells a time that moves, or teases a step that is still to come."""
    plan = check_file(ROOT / "configs" / "learning-phone.yaml").accepted()
    where, starts = set_stage(plan, project=ROOT, out=tmp_path)
    clock = VirtualClock(starts)
    asyncio.run(up_to_the_trust_gate(where, clock))
    running = look(where.open(), where.edition)
    proposal = propose(running, with_opening(running, plan.opens + DAY), now=clock.now())
    assert refusals(proposal) == []
    sent = {step.id for step in plan.steps if step.id in running.begun}
    expected = {step.id for step in plan.steps if step.id in sent and tells_what_moves(plan, step, sent, clock.now())}
    remedies = {promise.spoken.step.id for promise in proposal.broken if ".remedy." in promise.spoken.step.id}
    assert {promise.spoken.step.id for promise in proposal.broken} - remedies == expected
    assert expected >= {"welcome", "trial-families"}
    assert len(texts_sent(running, now=clock.now())) > len(sent) > 20
    where.open().close()
