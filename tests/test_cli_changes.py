"""`plan --diff`, `apply` and `shift` from the outside, on an edition of the kettle that is half told."""

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from drumroll.cli import proposals
from drumroll.clock import VirtualClock, using_clock
from drumroll.ledger.ledger import default_url
from drumroll.operate.changes import propose
from drumroll.operate.edition import Where, begin
from drumroll.operate.opening import open_edition
from drumroll.operate.recompile import new_opening, with_opening
from drumroll.operate.running import look
from drumroll.operate.settling import Correcting, settle
from tests.driver import drive
from tests.launch_files import SERIAL, drumroll, new_project

ROOT = Path(__file__).parent.parent
EDITION = "kettle@2027-01-16"
FILE = "configs/kettle.yaml"


class Kettle:
    """The project, its edition at D-4 19:00 with three steps told, and the command on the edition's clock."""

    def __init__(self, root):
        self.project = new_project(root)
        self.project.template("en/recruit/welcome.md.j2", "We open {{ opens | day }} at {{ opens | clock }}. " + SERIAL)
        words = "en/corrections/correction.md.j2"
        self.project.template(words, (ROOT / "templates" / words).read_text())
        plan = self.project.plan()
        self.where = Where(plan.edition, default_url(root), str(root))
        self.clock = VirtualClock(plan.phases[0].starts)
        begin(plan, ledger=self.ledger, rehearsal=False, now=self.clock.now())
        asyncio.run(drive(self.where, "recruit", self.clock, beats=6))

    @property
    def ledger(self):
        return self.where.open()

    def run(self, *arguments):
        with using_clock(self.clock):
            return drumroll(*arguments)

    def json(self, *arguments):
        ran = self.run(*arguments, "--json")
        assert ran.code == 0, ran.err
        return json.loads(ran.out)

    def hash(self):
        return self.json("plan", FILE, "--diff")["to_hash"]

    def apply(self, *options):
        return self.run("apply", FILE, "--approve", self.hash(), "--by", "Ann", *options)

    def shift(self, to, *options):
        dry = self.json("shift", "kettle", to, "--dry-run", *options)
        return self.run("shift", "kettle", to, "--approve", dry["to_hash"], "--by", "Ann", *options)


@pytest.fixture
def kettle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRUMROLL_LEDGER", raising=False)
    made = Kettle(tmp_path)
    yield made
    made.ledger.close()


def masked(document):
    """The document with hashes as words, so that a rule or a schema may change without a new snapshot."""
    return re.sub(r'"[0-9a-f]{64}"', '"HASH"', json.dumps(document, ensure_ascii=False, indent=1))


def test_the_json_of_a_difference(kettle, snapshot):
    project = kettle.project
    project.change("topic: price and terms", "topic: the price").change('at: "T-2h"', 'at: "T-3h"')
    project.change(
        "      - id: terms\n",
        '      - id: evening\n        at: "D-1 20:00"\n        topic: an evening\n      - id: terms\n',
    )
    project.change("mystery: somebody you have met", "mystery: an old friend")
    nudge = '      - id: nudge\n        at: "D-2 12:00"\n        kind: prompt\n        segment: silent\n        to: [east]\n'
    project.change(nudge, "").change('opens: "2027-01-16 12:00"', 'opens: "2027-01-17 12:00"')
    assert masked(kettle.json("plan", FILE, "--diff")) == snapshot


def test_a_difference_for_people(kettle, snapshot):
    project = kettle.project.change("mystery: somebody you have met", "mystery: an old friend")
    project.change('at: "T-2h"', 'at: "T-3h"').change('opens: "2027-01-16 12:00"', 'opens: "2027-01-17 12:00"')
    assert re.sub(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b", "HASH", kettle.run("plan", FILE, "--diff").out) == snapshot


def test_a_difference_needs_an_edition_under_way(kettle):
    kettle.ledger.set_edition_state(EDITION, "done", kettle.clock.now())
    ran = kettle.run("plan", FILE, "--diff")
    assert (ran.code, "no edition of kettle is under way" in ran.err) == (1, True)


def test_a_difference_takes_no_other_opening(kettle):
    assert kettle.run("plan", FILE, "--diff", "--opens", "2027-01-17 12:00").code == 2


def test_a_file_with_findings_is_not_compared(kettle):
    kettle.project.change("mystery: somebody", "mystary: somebody")
    ran = kettle.run("plan", FILE, "--diff")
    assert (ran.code, 'unknown key "mystary"' in ran.err) == (1, True)


def test_nothing_changed_is_said_and_is_no_error(kettle):
    ran = kettle.run("apply", FILE)
    assert (ran.code, ran.out.startswith("nothing to apply: kettle@2027-01-16 runs this plan already")) == (0, True)
    assert kettle.json("apply", FILE)["version"] is None


def test_a_plan_nobody_approved_is_not_applied(kettle):
    kettle.project.change("topic: price and terms", "topic: the price")
    ran = kettle.run("apply", FILE)
    assert ran.code == 1
    assert f"look with `drumroll plan {FILE} --diff`, then add --approve {kettle.hash()[:12]}" in ran.err
    assert kettle.ledger.edition(EDITION).plan_version == 1


def test_what_was_approved_must_be_what_is_here(kettle):
    kettle.project.change("topic: price and terms", "topic: the price")
    wanted = kettle.hash()
    ran = kettle.run("apply", FILE, "--approve", "abcdef12", "--by", "Ann")
    assert (ran.code, f"then approve {wanted[:12]}" in ran.err) == (1, True)


@pytest.mark.parametrize("given", ["{hash:.7}", "{hash}0", "", "letmepass"])
def test_what_is_no_hash_approves_nothing(kettle, given):
    kettle.project.change("topic: price and terms", "topic: the price")
    ran = kettle.run("apply", FILE, "--approve", given.format(hash=kettle.hash()), "--by", "Ann")
    assert (ran.code, "is no hash of a plan; give 8 hex digits or more" in ran.err) == (2, True)


def test_under_a_plan_that_requires_approval_only_the_team_changes_it(kettle, monkeypatch):
    kettle.project.change("title:", "approval: required\ntitle:")
    assert kettle.apply().code == 0
    kettle.project.change("approval: required\n", "").change("topic: price and terms", "topic: the price")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    ran = kettle.run("apply", FILE)
    assert (ran.code, "nobody has approved this plan" in ran.err) == (1, True)
    for call in (("apply", FILE), ("shift", "kettle", "+1d")):
        look = ("plan", FILE, "--diff") if call[0] == "apply" else (*call, "--dry-run")
        ran = kettle.run(*call, "--approve", kettle.json(*look)["to_hash"], "--by", "Nobody")
        assert (ran.code, '"Nobody" is nobody of team.staff' in ran.err) == (2, True), ran.err
    assert kettle.apply().code == 0


def test_a_difference_that_is_refused_is_not_offered_and_exits_with_1(kettle):
    kettle.project.change("timezone: Asia/Taipei", "timezone: Asia/Tokyo")
    ran = kettle.run("plan", FILE, "--diff")
    assert (ran.code, "apply it with" in ran.out) == (1, False)
    assert "refused: timezone would be Asia/Tokyo, and members were spoken to in Asia/Taipei" in ran.out
    ran = kettle.run("plan", FILE, "--diff", "--json")
    assert (ran.code, json.loads(ran.out)["refused"] != []) == (1, True)


def test_a_change_of_what_has_begun_is_told_to_have_no_effect(kettle):
    kettle.project.change('at: "D-5 19:00"', 'at: "D-5 19:30"')
    kettle.project.template("en/recruit/welcome.md.j2", "Other words. " + SERIAL)
    document = kettle.json("plan", FILE, "--diff")
    assert [(each["id"], each["fields"]) for each in document["in_vain"]] == [
        ("welcome", ["text"]),
        ("roll-call", ["at"]),
    ]
    assert "roll-call has begun; this change has no effect: at" in kettle.run("plan", FILE, "--diff").out


def test_a_step_with_another_id_is_asked_about(kettle):
    kettle.project.change("- id: terms", "- id: all-terms")
    assert (
        "all-terms, Fri 2027-01-15 23:00 (renamed? It is terms in the edition)"
        in kettle.run("plan", FILE, "--diff").out
    )


def test_new_groups_and_other_channels_name_whom_they_touch(kettle):
    west = "    - {id: west, name: West, channel: by_hand}\n"
    kettle.project.change(west, west + west.replace("west", "north")).change("lead: 30m", "lead: 40m")
    document = kettle.json("plan", FILE, "--diff")
    assert {"community.groups.north", "community.channels.by_hand"} <= set(document["settings"])
    changed = {each["id"]: (each["fields"], each["joined"]) for each in document["changed"]}
    assert changed["terms"] == (["groups"], ["north"])
    assert "~ community.channels.by_hand (groups west, north)" in kettle.run("plan", FILE, "--diff").out


def test_of_a_long_text_only_the_lines_that_change_are_shown(kettle):
    words = [f"line {number}" for number in range(20)]
    kettle.project.template("en/ignite/countdown.md.j2", "{{ left }}\n" + "\n".join(words))
    assert kettle.apply().code == 0
    words[10] = "another line"
    kettle.project.template("en/ignite/countdown.md.j2", "{{ left }}\n" + "\n".join(words))
    out = kettle.run("plan", FILE, "--diff").out
    assert "      line 9\n    - line 10\n    + another line\n      line 11\n" in out
    assert "line 8" not in out


def test_a_change_needs_a_name(kettle):
    kettle.project.change("topic: price and terms", "topic: the price")
    ran = kettle.run("apply", FILE, "--approve", kettle.hash()[:8])
    assert (ran.code, "--by NAME" in ran.err) == (2, True)


def test_an_approved_plan_is_applied_and_signed(kettle):
    kettle.project.change("topic: price and terms", "topic: the price")
    wanted = kettle.hash()
    ran = kettle.run("apply", FILE, "--approve", wanted[:8].upper(), "--by", "Ann", "--reason", "shorter")
    assert (ran.code, ran.out) == (0, f"{EDITION} runs plan {wanted[:12]} now (version 2)\n")
    (decision,) = kettle.ledger.decisions(EDITION, "plan")
    assert (decision.choice, decision.by, decision.reason) == (f"apply {wanted[:12]}", "Ann", "shorter")
    assert kettle.where.plan().step("terms").topic == "the price"


def test_an_apply_that_breaks_promises_corrects_them(kettle):
    kettle.project.change("mystery: somebody you have met", "mystery: an old friend")
    ran = kettle.apply("--correct-at", "D-3 09:00")
    assert "We told you somebody you have met (No. 02). It is now an old friend." in ran.out
    assert {row.state for row in kettle.ledger.deliveries(EDITION, step="correction-1")} == {"due"}
    document = kettle.json("plan", FILE, "--diff")
    assert (document["promises_broken"], document["removed"]) == ([], [])


def test_a_step_taken_out_is_cancelled_and_every_command_still_works(kettle):
    kettle.project.change('      - id: terms\n        at: "D-1 23:00"\n        topic: price and terms\n', "")
    assert kettle.apply().code == 0
    assert {row.state for row in kettle.ledger.deliveries(EDITION, step="terms")} == {"cancelled"}
    templates = kettle.project.root / "templates" / "pages"
    templates.symlink_to(ROOT / "templates" / "pages")
    for command in (
        ("status",),
        ("today", "--all"),
        ("deliveries", EDITION),
        ("deliveries", EDITION, "--step", "terms"),
        ("report", EDITION),
    ):
        ran = kettle.run(*command)
        assert (command, ran.code, ran.err) == (command, 0, "")


def test_a_number_the_file_counts_on_is_the_editions(kettle):
    kettle.project.change('      - id: terms\n        at: "D-1 23:00"\n        topic: price and terms\n', "")
    kettle.project.change("      - id: order\n", "      - id: order\n        number: 5\n")
    assert kettle.apply().code == 0
    assert kettle.where.plan().step("order").number == 5
    kettle.project.change("number: 5", "number: 4")
    ran = kettle.run("plan", FILE, "--diff")
    assert (ran.code, "is number 5 in order of time, and the file says 4" in ran.err) == (1, True)


def test_a_shift_shows_moves_promises_and_its_correction(kettle, snapshot):
    ran = kettle.run("shift", "kettle", "+1d", "--dry-run")
    assert ran.code == 0
    assert re.sub(r"\b[0-9a-f]{12}\b", "HASH", ran.out) == snapshot
    assert kettle.ledger.edition(EDITION).plan_version == 1


def test_a_shift_is_written_and_the_file_is_told_of(kettle):
    ran = kettle.shift("+1d", "--reason", "the warehouse")
    assert ran.code == 0
    assert ran.out.endswith(
        'write it into the launch file, so that file and edition agree:\n  opens: "2027-01-17 12:00"\n'
    )
    kettle.project.change('opens: "2027-01-16 12:00"', 'opens: "2027-01-17 12:00"')
    document = kettle.json("plan", FILE, "--diff")
    assert (document["from_hash"], document["opens"]) == (document["to_hash"], document["file_opens"])
    assert kettle.ledger.edition(EDITION).opens_at == kettle.where.plan().opens


def test_a_run_finds_its_edition_again_by_the_shifted_opening(kettle):
    kettle.shift("+1d")
    kettle.project.change('opens: "2027-01-16 12:00"', 'opens: "2027-01-17 12:00"')
    with using_clock(kettle.clock):
        where = asyncio.run(open_edition(kettle.project.file, ledger=kettle.where.ledger))
    assert where.edition == EDITION


def test_a_shift_to_an_earlier_hour_is_written_with_a_minus(kettle):
    document = kettle.json("shift", "kettle", "-2h", "--dry-run")
    assert (document["to"], document["version"]) == ("2027-01-16T02:00:00Z", None)
    assert [moved["id"] for moved in document["moved"]] == ["two-hours", "order"]


def test_the_json_of_a_shift(kettle):
    wanted = kettle.json("shift", EDITION, "+1d", "--dry-run")
    done = kettle.json("shift", EDITION, "+1d", "--approve", wanted["to_hash"][:12], "--by", "Ann")
    assert done == wanted | {"version": 2}
    assert set(done["correction"]) == {"id", "due", "groups", "text"}


def test_a_shift_without_a_correction_says_why(kettle):
    assert kettle.shift("+1d", "--no-correction", "told by voice").code == 0
    (decision,) = kettle.ledger.decisions(EDITION, "correction")
    assert (decision.choice, decision.reason) == ("none", "told by voice")
    assert kettle.ledger.deliveries(EDITION, step="correction-1") == []


def test_ones_own_notice_is_sent_instead(kettle, tmp_path):
    (tmp_path / "notice.txt").write_text("One day later. Sorry!\n")
    assert "One day later. Sorry!" in kettle.shift("+1d", "--notice", "notice.txt").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("+0d",), "it opens then already"),
        (("soon",), '"soon"'),
        (("--dryrun",), "no such option: --dryrun"),
        (("+1d", "--dry-run", "--no-correction", "x", "--correct-at", "D-3 09:00"), "nothing to correct"),
        (("+1d", "--dry-run", "--no-correction", " "), "goes on record"),
        (("+1d", "--dry-run", "--correct-at", "D-6 09:00"), "has passed"),
        (("+1d", "--dry-run", "--correct-at", "later"), "--correct-at"),
        (("+1d", "--dry-run", "--correct-at", "D-3 23:30"), "is in the quiet hours (23:30-08:00)"),
        (("+1d", "--dry-run", "--correct-at", "D+60 12:00"), "too late: the last thing it corrects is Sun 2027-01-17"),
        (("+1d", "--dry-run", "--notice", "none.txt"), "none.txt"),
    ],
)
def test_a_call_that_cannot_be_meant_is_a_usage_error(kettle, arguments, message):
    ran = kettle.run("shift", "kettle", *arguments)
    assert (ran.code, message in ran.err) == (2, True), ran.err


def test_what_is_claimed_while_a_change_is_written_stays_and_is_told(kettle, capsys):
    def proposal():
        running = look(kettle.ledger, EDITION)
        return propose(running, with_opening(running, new_opening("+1d", running.plan)), now=kettle.clock.now())

    stale, due = proposal(), kettle.where.plan().step("the-host").due
    kettle.ledger.claim(EDITION, "the-host", 1, now=due, limit=1, lease=timedelta(minutes=1), channel="screen")
    options = {"what": "shift", "by": "Ann", "reason": "", "project": kettle.project.root}
    done = settle(stale, proposal, Correcting(None, "told by voice", None), **options)
    proposals.tell_settled(done)
    assert f"{EDITION}/the-host/1/east had begun when this was written, and stays as it was" in capsys.readouterr().out
    found = {(row.step, row.group): row for row in kettle.ledger.deliveries(EDITION)}
    assert {found["the-host", group].due_at for group in ("east", "west")} == {due}
    assert found["terms", "east"].due_at == done.plan.step("terms").due != stale.running.plan.step("terms").due


def test_a_correction_that_a_channel_cannot_take_is_refused(kettle, tmp_path):
    kettle.project.change("      lead: 30m", "      lead: 30m\n      max_bytes: 300")
    assert kettle.apply().code == 0
    (tmp_path / "notice.txt").write_text("延" * 101)
    ran = kettle.run("shift", "kettle", "+1d", "--dry-run", "--notice", "notice.txt")
    assert (ran.code, "has 303 bytes, and channel by_hand takes 300" in ran.err) == (2, True), ran.err


def test_an_opening_that_has_passed_is_said_before_any_rule(kettle):
    ran = kettle.run("shift", "kettle", "-30d", "--dry-run")
    assert (ran.code, ran.err.strip()) == (1, f"error: {EDITION}: that opening has passed (2026-12-17 12:00)")


def test_an_unknown_launch_is_not_shifted(kettle):
    assert kettle.run("shift", "pan", "+1d").code == 1


def test_a_shift_into_the_past_is_refused_with_the_list(kettle):
    ran = kettle.run("shift", "kettle", "-3d", "--dry-run")
    assert ran.code == 1
    assert "the-host would be due Sun 2027-01-10 20:00, which has passed" in ran.err


def test_an_edition_that_is_over_is_left_alone(kettle):
    kettle.ledger.set_edition_state(EDITION, "aborted", kettle.clock.now())
    ran = kettle.run("shift", EDITION, "+1d")
    assert (ran.code, "is aborted" in ran.err) == (1, True)


def test_without_words_for_a_correction_the_remedy_is_named(kettle):
    (kettle.project.root / "templates/en/corrections/correction.md.j2").unlink()
    ran = kettle.run("shift", "kettle", "+1d", "--dry-run")
    assert (ran.code, "--notice FILE" in ran.err) == (2, True)
