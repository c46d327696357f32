"""Rules of the schedule: voice, rhythm, quiet hours, platform rates, work by hand."""

from collections import deque
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumroll.gates import judge
from drumroll.launchfile.method import QuietHours
from drumroll.metrics.reading import Reading
from drumroll.suspense.audiences import audiences, named
from drumroll.suspense.quiet import remedy_readings
from drumroll.suspense.rates import Outflow
from drumroll.suspense.registry import RULES
from drumroll.suspense.waking import Waking
from tests.launch_files import new_project

MINUTE = timedelta(minutes=1)

HEAD = """\
drumroll: 1
name: kettle
title: The quiet kettle
locale: en
timezone: {zone}
opens: "2027-01-16 12:00"
product: {{name: the quiet kettle, promise: it boils without a sound, result: nobody wakes up}}
team:
  name: the kettle people
  staff:
    - {{name: Ann, role: host}}
    - {{name: Bo, role: engineer}}
community:
  channels:
    room: {channel}
  groups: {groups}
  segments:
    silent: {{silent_for: 3d}}
{top}
phases:
"""


def launch(phases, *, groups=("a",), channel="{kind: console}", zone="Asia/Taipei", top="", gates=None):
    """A launch file: phase → (starts, ends, step lines)."""
    listed = ", ".join(f"{{id: {group}, name: G, channel: room}}" for group in groups)
    text = HEAD.format(zone=zone, channel=channel, groups=f"[{listed}]", top=top)
    for name, (starts, ends, steps) in phases.items():
        text += f'  {name}:\n    goal: g\n    starts: "{starts}"\n    ends: "{ends}"\n    slack: 1h\n    steps:\n'
        text += "".join(f"      - {{{step}}}\n" for step in steps)
        text += (gates or {}).get(name, "")
    return text


SAY = "{{ step.label }} {{ vars.text }}{% if teaser %} Next, {{ teaser.when }}: {{ teaser.topic }}.{% endif %}\n"
KINDS = ("announcement", "value", "heads_up", "countdown", "prompt", "link", "thanks", "welcome")
WORDS = {
    f"en/{phase}/{kind}.md.j2": SAY
    for phase in ("recruit", "build_up", "nurture", "ignite", "aftercare")
    for kind in KINDS
}


def say(at, name, *, kind="announcement", text="Plain words.", more=""):
    return f'id: {name}, at: "{at}", kind: {kind}, topic: t {name}, vars: {{text: "{text}"}}{more}'


@pytest.fixture
def found(tmp_path):
    """The findings of one rule for a launch file, in order."""

    def of(rule, text, templates=WORDS):
        checked = new_project(tmp_path, text, templates).check()
        wrong = [f for f in checked.findings if f.rule.split("/")[0] in {"file", "moment", "name", "template", "step"}]
        assert not wrong, wrong
        return [finding for finding in checked.findings if finding.rule == rule]

    return of


# Waking time


ZONES = ("Asia/Taipei", "America/New_York", "Australia/Lord_Howe", "Europe/Berlin")
# Around the days on which these zones change their clocks, and an ordinary one.
DAYS = [datetime(2026, *day, tzinfo=UTC) for day in ((3, 7), (10, 31), (4, 4), (10, 3), (3, 28), (10, 24), (6, 1))]
clock = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))
wakings = st.builds(
    lambda starts, ends, zone: Waking(QuietHours(starts=starts, ends=ends), ZoneInfo(zone)),
    clock,
    clock,
    st.sampled_from(ZONES),
)
instants = st.builds(lambda day, minutes: day + minutes * MINUTE, st.sampled_from(DAYS), st.integers(0, 2_880))


@given(wakings, instants, st.integers(0, 2_000))
@settings(max_examples=60, deadline=None)
def test_waking_time_is_every_minute_that_is_not_quiet_on_days_when_clocks_change_too(waking, start, minutes):
    counted = sum(not waking.is_quiet(start + n * MINUTE) for n in range(minutes))
    assert waking.time(start, start + minutes * MINUTE) == counted * MINUTE


@given(wakings, instants)
@settings(max_examples=60, deadline=None)
def test_the_nearest_allowed_minutes_are_the_ones_that_a_search_finds(waking, at):
    def search(step):
        return next(n for n in range(3_000) if not waking.is_quiet(at + n * step))

    assert waking.first_allowed(at) == at + search(MINUTE) * MINUTE
    assert waking.last_allowed(at) == at - search(-MINUTE) * MINUTE


def test_the_night_on_which_clocks_go_forward_is_an_hour_shorter():
    waking = Waking(QuietHours(), ZoneInfo("America/New_York"))
    evening, morning = datetime(2026, 3, 8, 3, 30, tzinfo=UTC), datetime(2026, 3, 8, 13, tzinfo=UTC)  # 22:30, 09:00
    assert waking.time(evening, morning) == timedelta(hours=2)
    assert morning - evening == timedelta(hours=9.5)


# Groups that get the same


def test_groups_that_get_the_same_messages_are_one_audience(tmp_path):
    steps = [
        say("D-2 10:00", "one"),
        say("D-2 11:00", "two", more=", to: [a, b]"),
        say("D-2 12:00", "three", more=", to: [b, a]"),
        say("D-2 13:00", "alone", kind="prompt", more=", segment: silent, to: [c]"),
    ]
    text = launch({"recruit": ("D-3 09:00", "D-1 12:00", steps)}, groups="abc", channel="{kind: hand_off}")
    plan = new_project(tmp_path, text, WORDS).plan()
    heard = [(audience.groups, [step.id for step in audience.steps]) for audience in audiences(plan.steps)]
    assert heard == [(("a", "b"), ["one", "two", "three"]), (("c",), ["one"])]


def test_groups_are_named_and_many_are_counted():
    assert [named(groups) for groups in ("a", "ab", "abc", "abcd")] == [
        "group a",
        "groups a and b",
        "groups a, b and c",
        "groups a, b and 2 more",
    ]


# voice/broadcasts


def series(texts, **keywords):
    """Announcements by the hour, one for each text."""
    steps = [say(f"D-2 {9 + n}:00", f"s{n}", text=text) for n, text in enumerate(texts)]
    return launch({"recruit": ("D-3 09:00", "D-1 12:00", steps)}, **keywords)


def test_five_messages_that_ask_nothing_are_a_run_and_four_are_none(found):
    assert not found("voice/broadcasts", series(["No."] * 4 + ["Yes?"] + ["No."] * 4))
    (run,) = found("voice/broadcasts", series(["No."] * 6))
    assert run.what == "6 messages in a row ask nothing, from No. 01 to No. 06; at most 4 should"
    assert (run.path, run.severity) == ("phases.recruit.steps[4]", "warning")


@pytest.mark.parametrize("asks", ["Why?", "「好嗎？」", "好嗎?快說", "(really?)", "*Who?*", "What?!", "One? Two."])
def test_a_text_with_a_question_asks(found, asks):
    assert not found("voice/broadcasts", series(["No."] * 4 + [asks] + ["No."]))


@pytest.mark.parametrize("tells", ["https://x.example/p?a=1", "https://x.example/p?utm=2 is it.", "Never mind."])
def test_a_question_mark_in_an_address_asks_nothing(found, tells):
    assert len(found("voice/broadcasts", series(["No."] * 4 + [tells]))) == 1


def test_a_prompt_asks_and_a_message_to_single_members_is_not_heard_by_the_group(found):
    def run(middle):
        before = [say(f"D-2 {9 + n}:00", f"s{n}", kind="value") for n in range(3)]
        after = [say(f"D-2 {16 + n}:00", f"t{n}", kind="value") for n in range(2)]
        return launch({"recruit": ("D-3 09:00", "D-1 12:00", [*before, middle, *after])}, channel="{kind: hand_off}")

    assert not found("voice/broadcasts", run(say("D-2 13:00", "ask", kind="prompt")))
    (run_of_five,) = found("voice/broadcasts", run(say("D-2 13:00", "ask", kind="prompt", more=", segment: silent")))
    assert run_of_five.what.startswith('5 messages in a row ask nothing, from "s0" to "t1";')


def test_a_run_that_only_some_groups_get_names_them_once(found):
    steps = [say(f"D-2 {9 + n}:00", f"s{n}") for n in range(6)]
    steps[3] = say("D-2 12:00", "ask", kind="prompt", more=", to: [a]")
    steps[5] = say("D-2 14:00", "more", more=", to: [b, c]")
    (run,) = found("voice/broadcasts", launch({"recruit": ("D-3 09:00", "D-1 12:00", steps)}, groups="abc"))
    assert run.what.startswith("5 messages in a row ask nothing in groups b and c, from No. 01 to No. 05;")


# voice/repeats


LONG = "Stay with us, because the best of it is still ahead."


def test_a_sentence_in_three_texts_is_a_stock_phrase_and_in_two_it_is_none(found):
    assert not found("voice/repeats", series([LONG, "Other words?", LONG]))
    (stock,) = found("voice/repeats", series([LONG, f"First this. {LONG}", f"Stay  with{LONG[9:]} Then that."]))
    assert stock.what == f'"{LONG[:-1]}" stands in 3 texts: No. 01, No. 02, No. 03'
    assert stock.path == "phases.recruit.steps[2]"


def test_a_short_sentence_may_come_back_and_a_short_chinese_one_is_long(found):
    assert not found("voice/repeats", series(["See you all tomorrow."] * 4))
    assert not found("voice/repeats", series(["大家明天見囉！"] * 4))
    assert found("voice/repeats", series(["別走開，精彩的還在後面等著你。"] * 3))


def test_several_sentences_of_the_same_texts_are_one_finding(found):
    (stock,) = found("voice/repeats", series([f"{LONG} And bring a friend along, if you have one."] * 3))
    assert " and 1 more sentence stand in 3 texts" in stock.what


def test_what_comes_from_the_plan_is_no_stock_phrase(found):
    fact = "six Tuesdays from January to the middle of March"
    words = dict.fromkeys(WORDS, "{{ step.label }} {{ facts.dates }}. {{ product.promise }}, {{ promises.one }}!")
    top = f"facts: {{dates: {fact}}}\npromises: {{one: a page that you can pin to the wall}}"
    assert not found("voice/repeats", series(["unused"] * 4, top=top), words)


def test_the_frame_around_a_teaser_is_a_stock_phrase(found):
    frame = "{{ step.label }}{% if teaser %} Keep a thought free for {{ teaser.topic }}, {{ teaser.when }}.{% endif %}"
    (stock,) = found("voice/repeats", series(["unused"] * 4), dict.fromkeys(WORDS, frame))
    assert stock.what.startswith('"Keep a thought free for" stands in 3 texts')


# rhythm


def numbered(times, **keywords):
    """phase → times of its numbered announcements."""
    bounds = {
        "recruit": ("D-12 00:00", "D-9 23:00"),
        "build_up": ("D-8 00:10", "D-6 22:00"),
        "nurture": ("D-5 00:00", "D-2 22:00"),
        "ignite": ("D-1 00:00", "D 23:50"),
    }
    phases = {
        phase: (*bounds[phase], [say(at, f"{phase[0]}{n}") for n, at in enumerate(times[phase])]) for phase in times
    }
    return launch(phases, **keywords)


STEADY = {
    "recruit": ["D-11 09:00", "D-10 09:00", "D-9 09:00"],
    "build_up": ["D-8 09:00", "D-7 09:00", "D-6 09:00"],
    "nurture": ["D-5 09:00", "D-4 09:00", "D-3 09:00", "D-2 09:00"],
    "ignite": ["D-1 09:00", "D 09:00", "D 12:00"],
}


def test_a_steady_rhythm_and_one_that_tightens_pass(found):
    assert not found("rhythm/tightens", numbered(STEADY))
    assert not found("rhythm/sag", numbered(STEADY))


def test_a_phase_that_slows_down_is_named_with_both_means(found):
    slow = STEADY | {"build_up": ["D-8 09:00", "D-8 13:00", "D-8 17:00"], "nurture": ["D-5 09:00", "D-3 09:00"]}
    (slows,) = found("rhythm/tightens", numbered(slow))
    # build_up: 15.5 h, 4 h, 4 h; nurture: 38.5 h and 31 h; the night is not counted.
    assert slows.what.endswith("come every 34.8 waking hours on average, those of build_up every 7.8")
    assert (slows.path, slows.severity) == ("phases.nurture", "warning")


@pytest.mark.parametrize(("last", "trips"), [("D-8 16:00", False), ("D-8 16:01", True)])
def test_fifteen_percent_more_is_still_the_same_rhythm(found, last, trips):
    # recruit: 10 h and 10 h. build_up: 26.5 h from D-10 12:30 on, then 4 h twice, which is 11.5 h on average.
    recruit, build_up = ["D-11 08:00", "D-11 18:00", "D-10 12:30"], ["D-8 08:00", "D-8 12:00", last]
    assert bool(found("rhythm/tightens", numbered({"recruit": recruit, "build_up": build_up}))) is trips


def test_a_phase_with_one_gap_has_no_rhythm(found):
    assert not found(
        "rhythm/tightens", numbered({"recruit": ["D-11 09:00", "D-11 10:00", "D-11 11:00"], "nurture": ["D-5 09:00"]})
    )


def test_a_stretch_of_twice_the_usual_pace_sags(found):
    sags = STEADY | {"nurture": ["D-5 09:00", "D-2 09:10"]}
    (sag,) = found("rhythm/sag", numbered(sags))
    assert sag.what == (
        "from No. 07 (Mon 2027-01-11 09:00) to No. 08 (Thu 2027-01-14 09:10) pass 46.7 waking hours; "
        "until then it was 15.5 on average"
    )
    assert (sag.path, sag.severity) == ("phases.nurture.steps[1]", "warning")


@pytest.mark.parametrize(("last", "trips"), [("D-3 09:00", False), ("D-3 09:01", True)])
def test_exactly_twice_the_usual_pace_does_not_sag(found, last, trips):
    assert bool(found("rhythm/sag", numbered(STEADY | {"nurture": ["D-5 09:00", last, "D-2 22:00"]}))) is trips


@pytest.mark.parametrize(("last", "trips"), [("D-8 18:15", False), ("D-8 18:16", True)])
def test_up_to_eight_waking_hours_nothing_sags(found, last, trips):
    quick = {"recruit": ["D-9 20:15", "D-9 20:30", "D-9 20:45"], "build_up": ["D-8 10:00", "D-8 10:15", last]}
    assert bool(found("rhythm/sag", numbered(quick))) is trips


@pytest.mark.parametrize(("opening", "trips"), [("D 12:00", False), ("D 11:59", True)])
def test_what_begins_with_the_opening_does_not_sag(found, opening, trips):
    assert (
        bool(found("rhythm/sag", numbered({"ignite": ["D 11:30", "D 11:40", "D 11:50", opening, "D 23:00"]}))) is trips
    )


# quiet/hours


@pytest.mark.parametrize(
    ("at", "hours", "allowed"),
    [
        ("D-3 23:29", "", None),
        ("D-3 08:00", "", None),
        ("D-3 23:30", "", "Wed 2027-01-13 23:29 before it and Thu 2027-01-14 08:00 after it"),
        ("D-3 07:59", "", "Tue 2027-01-12 23:29 before it and Wed 2027-01-13 08:00 after it"),
        (
            "D-3 03:00",
            'quiet_hours: {starts: "01:00", ends: "06:00"}',
            "Wed 2027-01-13 00:59 before it and Wed 2027-01-13 06:00 after it",
        ),
        ("D-3 23:45", 'quiet_hours: {starts: "01:00", ends: "06:00"}', None),
        ("D-3 08:00", 'quiet_hours: {starts: "08:00", ends: "08:00"}', None),
    ],
)
def test_a_step_in_the_quiet_hours_is_refused_with_the_nearest_allowed_times(found, at, hours, allowed):
    text = launch({"recruit": ("D-4 00:00", "D-1 12:00", [say(at, "one")])}, top=hours)
    findings = found("quiet/hours", text)
    assert [finding.remedy for finding in findings] == ([f"allowed are {allowed}"] if allowed else [])
    assert all(finding.path == "phases.recruit.steps[0].at" and finding.severity == "error" for finding in findings)


def test_on_the_day_the_clocks_change_the_quiet_hours_still_end_at_eight(found):
    steps = [say("2027-03-14 07:30", "early"), say("2027-03-14 08:00", "fine")]
    text = launch({"recruit": ("2027-03-13 00:00", "2027-03-15 12:00", steps)}, zone="America/New_York")
    (early,) = found("quiet/hours", text)
    assert early.remedy == "allowed are Sat 2027-03-13 23:29 before it and Sun 2027-03-14 08:00 after it"


GATE = """\
    gate:
      thresholds: [{{metric: members, at_least: 30}}]
      otherwise: [{otherwise}]
      {recheck}
      remedy:
        - {{id: help, after: 30m, kind: prompt, vars: {{text: Who?}}}}
        - {{id: more, after: 1h, kind: prompt, vars: {{text: Who else?}}}}
"""


def gated(ends, otherwise, recheck="", slack="1h"):
    gates = {"recruit": GATE.format(otherwise=otherwise, recheck=recheck)}
    text = launch({"recruit": ("D-4 09:00", ends, [say("D-4 12:00", "one")])}, gates=gates)
    return text.replace("slack: 1h", f"slack: {slack}")


def test_a_remedy_in_the_night_is_refused_with_the_reading_that_asks_for_it(found):
    help_, more = found("quiet/hours", gated("D-3 23:10", "remedy, hold"))
    assert help_.what.startswith("comes Wed 2027-01-13 23:40, in the quiet hours (23:30–08:00), when the gate asks")
    assert help_.what.endswith("for it Wed 2027-01-13 23:10")
    assert (help_.path, more.path) == tuple(f"phases.recruit.gate.remedy[{n}].after" for n in (0, 1))


def test_a_remedy_that_only_a_later_reading_puts_into_the_night_is_named_once(found):
    # 16:00 + 1h + recheck 6h = 23:00: half an hour later is quiet; at 06:00 it would be a third time.
    night = gated("D-3 16:00", "remedy, remedy, remedy, hold", slack="1d")
    help_, more = found("quiet/hours", night)
    assert help_.what.endswith("when the gate asks for it Wed 2027-01-13 23:00")
    assert "the gate's `recheck`" in more.remedy
    assert not found("quiet/hours", gated("D-3 16:00", "remedy, hold", slack="1d"))
    assert not found("quiet/hours", gated("D-3 16:00", "remedy, remedy, hold", recheck="recheck: 3h", slack="1d"))


def test_a_remedy_after_extend_never_comes(found):
    assert not found("quiet/hours", gated("D-3 23:10", "extend, remedy, hold"))


@given(
    st.lists(st.sampled_from(["remedy", "extend", "hold", "abort"]), min_size=1, max_size=5),
    st.sampled_from(["", "recheck: 0m", "recheck: 45m", "recheck: 9h"]),
    st.sampled_from(["0m", "1h", "20h"]),
)
@settings(max_examples=25, deadline=None)
def test_the_readings_that_ask_for_a_remedy_are_those_of_the_gates_own_ladder(tmp_path_factory, ladder, recheck, slack):
    text = gated("D-3 12:00", ", ".join(ladder), recheck, slack)
    plan = new_project(tmp_path_factory.mktemp("gate"), text, WORDS).plan()
    phase, planned, nobody = (
        plan.launch.phases["recruit"],
        plan.phase("recruit"),
        Reading([], [], [], ["a"], plan.opens),
    )
    now, earlier, asked = planned.gate_at, [], []
    while now is not None and len(earlier) < 40:
        verdict = judge(
            phase,
            phase.gate,
            nobody,
            now=now,
            phase_starts=planned.starts,
            latest=planned.latest,
            earlier=earlier,
            segments={},
        )
        asked += [now] if verdict.verdict == "remedy" else []
        earlier.append(verdict.verdict)
        now = verdict.next_check
    assert remedy_readings(phase.gate, planned) == asked


# rates


@given(
    st.integers(1, 7),
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 30)), min_size=1, max_size=12),
)
@settings(max_examples=300, deadline=None)
def test_messages_leave_when_a_simulation_of_every_single_one_says(per_minute, steps):
    start, outflow, sent = datetime(2027, 1, 16, tzinfo=UTC), Outflow(per_minute), deque(maxlen=per_minute)
    for seconds, messages in sorted(steps, key=lambda step: step[0]):
        at, left = start + timedelta(seconds=seconds), []
        for _ in range(messages):
            left.append(max(at, sent[0] + MINUTE) if len(sent) == per_minute else at)
            sent.append(left[-1])
        assert outflow.send(at, messages) == (left[0], left[-1])
    assert [left for left, count in outflow.recent for _ in range(count)] == list(sent)


def webhook(**limits):
    return "{kind: webhook, url: https://bridge.example, " + ", ".join(f"{k}: {v}" for k, v in limits.items()) + "}"


def many(count):
    return [f"g{n}" for n in range(count)]


def rated(steps, groups, per_minute, **keywords):
    return launch(
        {"recruit": ("D-3 00:10", "D-1 23:50", steps)},
        groups=many(groups),
        channel=webhook(per_minute=per_minute),
        **keywords,
    )


@pytest.mark.parametrize(("groups", "trips"), [(20, False), (40, False), (41, True)])
def test_a_step_whose_last_message_leaves_too_late_is_refused(found, groups, trips):
    steps = [say("D-2 10:00", "one", kind="countdown")]  # a late countdown is skipped: one minute
    findings = found("rates/minute", rated(steps, groups, 20))
    assert bool(findings) is trips
    for finding in findings:
        assert finding.what == (
            "channel room takes 20 messages a minute, and the 41 of this step need 2 minutes; "
            "the last one leaves 2 minutes late, and the step allows 1 minute"
        )
        assert finding.remedy.startswith("split its groups over several steps with `to:`")
        assert (finding.path, finding.severity) == ("phases.recruit.steps[0].at", "error")


def test_max_late_allows_more_but_not_where_a_late_message_is_skipped(found):
    patient = [say("D-2 10:00", "one", more=", max_late: 2m")]
    assert not found("rates/minute", rated(patient, 41, 20))
    assert found("rates/minute", rated([patient[0].replace("2m", "1m")], 41, 20))
    assert found("rates/minute", rated([patient[0] + ", on_late: skip"], 41, 20))


def test_a_step_that_has_to_wait_for_the_one_before_it_learns_its_earliest_time(found):
    def both(second):
        return rated([say("D-2 10:00", "one"), say(second, "two", kind="prompt")], 100, 10)

    (late,) = found("rates/minute", both("D-2 10:03"))
    assert late.what.endswith(
        "need 9 minutes; it starts 7 minutes late, because what comes before it is still going out"
    )
    assert late.remedy == "the earliest time for it is Thu 2027-01-14 10:09"
    assert late.path == "phases.recruit.steps[1].at"
    assert found("rates/minute", both("D-2 10:08"))
    assert not found("rates/minute", both("D-2 10:09"))


def test_the_earliest_time_is_outside_the_quiet_hours(found):
    steps = [say("D-2 23:20", "one"), say("D-2 23:21", "two")]
    (late,) = found("rates/minute", rated(steps, 100, 5))
    assert late.remedy == "the earliest time for it is Fri 2027-01-15 08:00"


def test_every_channel_has_a_rate_of_its_own_and_single_members_are_not_counted(found):
    steps = [say("D-2 10:00", "one"), say("D-2 10:00", "two", kind="prompt", more=", segment: silent")]
    assert not found("rates/minute", rated(steps, 20, 10))
    halves = [say("D-2 10:00", f"half{n}", more=f", to: [g{n}]", kind="prompt") for n in (0, 1)]
    text = rated(halves, 2, 1)
    assert not found("rates/minute", text)


def capped(times, cap, **keywords):
    steps = [say(at, f"s{n}", more=more) for n, (at, more) in enumerate(times)]
    return launch({"recruit": ("D-3 00:10", "D-1 23:50", steps)}, channel=webhook(daily_cap=cap), **keywords)


def test_the_first_message_beyond_a_groups_daily_cap_is_refused_with_the_next_day_that_has_room(found):
    two, three = [[(f"D-3 {9 + n}:00", "") for n in range(count)] for count in (2, 3)]
    assert not found("rates/daily", capped(two, 2))
    full_day_after = [("D-2 10:00", ""), ("D-2 11:00", "")]
    (beyond,) = found("rates/daily", capped([*three, ("D-3 20:00", ""), *full_day_after], 2))
    assert beyond.what == "is message 3 of 4 on Wed 2027-01-13 for group a; channel room takes 2 a day"
    assert beyond.remedy == "leave one out that day, or move this one: the earliest time for it is Fri 2027-01-15 08:00"
    assert (beyond.path, beyond.severity) == ("phases.recruit.steps[2].at", "error")


def test_a_day_is_a_local_day(found):
    assert not found("rates/daily", capped([("D-3 23:00", ""), ("D-2 08:00", "")], 1, zone="America/New_York"))
    assert found("rates/daily", capped([("D-3 08:00", ""), ("D-3 23:00", "")], 1, zone="America/New_York"))


def test_the_daily_cap_counts_each_group_by_itself(found):
    times = [("D-3 09:00", ", to: [a]"), ("D-3 10:00", ", to: [b, c]"), ("D-3 11:00", ", to: [b, c]")]
    (beyond,) = found("rates/daily", capped(times, 1, groups="abc"))
    assert "for groups b and c;" in beyond.what
    assert not found("rates/daily", capped(times[:2], 1, groups="abc"))


# rates/monthly


def monthly(times, cap, *, opens="2027-01-16 12:00", **keywords):
    credentials = "kind: wecom_customer_group, corp_id_env: A, secret_env: B, sender: mei, daily_cap: 9"
    steps = [say(at, f"s{n}", more=more) for n, (at, more) in enumerate(times)]
    phases = {"recruit": ("D-20 00:10", "D-1 23:50", steps)}
    text = launch(phases, channel=f"{{{credentials}, monthly_cap: {cap}}}", **keywords)
    return text.replace("2027-01-16 12:00", opens)


def test_the_first_message_beyond_a_months_cap_is_refused_with_the_next_month_that_has_room(found):
    three = [(f"D-{n} 10:00", "") for n in (9, 8, 7)]
    assert not found("rates/monthly", monthly(three, 3))
    (beyond,) = found("rates/monthly", monthly(three, 2))
    assert beyond.what == "is message 3 of 3 in January 2027 for group a; channel room takes 2 a month"
    remedy = "leave one out that month, or move this one: the earliest time for it is Mon 2027-02-01 08:00"
    assert beyond.remedy == remedy
    assert (beyond.path, beyond.severity) == ("phases.recruit.steps[2].at", "error")


def test_a_month_is_a_local_one_and_the_next_may_be_full_as_well(found):
    around = [("D-2 09:00", ""), ("D-2 23:00", ""), ("D-1 09:00", "")]  # 30 and 31 December in New York
    late = {"opens": "2027-01-01 12:00", "zone": "America/New_York"}
    assert found("rates/monthly", monthly(around, 2, **late))
    assert not found("rates/monthly", monthly([("D-2 09:00", ""), ("D-1 22:00", "")], 2, **late))
    (beyond,) = found("rates/monthly", monthly([*around, ("D-1 10:00", "")], 2, **late))
    assert beyond.what.startswith("is message 3 of 4 in December 2026")


def test_the_monthly_cap_counts_each_group_by_itself(found):
    times = [("D-3 09:00", ", to: [a]"), ("D-3 10:00", ", to: [b, c]"), ("D-2 11:00", ", to: [b, c]")]
    (beyond,) = found("rates/monthly", monthly(times, 1, groups="abc"))
    assert "for groups b and c;" in beyond.what
    assert not found("rates/monthly", monthly(times[:2], 1, groups="abc"))


# work/hour


def by_hand(times, groups, limit, *, to="", staff="", phases="recruit"):
    steps = [say(at, f"s{n}", kind="value") for n, at in enumerate(times)]
    channel = "{kind: hand_off" + (f", to: {to}" if to else "") + "}"
    text = launch({phases: ("D-3 00:10", "D-1 23:50", steps)}, groups=many(groups), channel=channel)
    text = text.replace("  name: the kettle people", f"  name: the kettle people\n  hand_offs_per_hour: {limit}")
    return text.replace("    - {name: Bo", f"{staff}    - {{name: Bo")


def test_more_hand_offs_than_fit_into_an_hour_are_refused_where_they_overflow(found):
    times = ["D-2 10:00", "D-2 10:30", "D-2 10:59", "D-2 11:30"]
    assert not found("work/hour", by_hand(times, 2, 6))
    (over,) = found("work/hour", by_hand(times, 2, 5))
    assert over.what == (
        "6 messages to post by hand from Thu 2027-01-14 10:00 to 11:00 are more than one person can (5)"
    )
    assert (over.path, over.severity) == ("phases.recruit.steps[2].at", "error")


def test_sixty_minutes_later_is_another_hour(found):
    assert not found("work/hour", by_hand(["D-2 10:00", "D-2 11:00"], 3, 3))
    assert found("work/hour", by_hand(["D-2 10:00", "D-2 10:59"], 3, 3))


def test_the_hour_slides_and_each_one_is_told_once(found):
    assert found("work/hour", by_hand(["D-2 10:45", "D-2 11:15"], 2, 3))  # neither clock hour is full
    twice = ["D-2 10:00", "D-2 10:10", "D-2 10:20", "D-2 10:30", "D-2 15:00", "D-2 15:10"]
    assert len(found("work/hour", by_hand([*twice[:4], "D-2 11:05"], 2, 3))) == 1  # not once more from 10:10 on
    first, second = found("work/hour", by_hand(twice, 2, 3))
    assert (first.what[:10], second.what[:10]) == ("8 messages", "4 messages")
    assert (first.path, second.path) == ("phases.recruit.steps[1].at", "phases.recruit.steps[5].at")


def test_hosts_operators_and_support_share_the_work_and_a_named_person_has_it_alone(found):
    staff = "    - {name: Cy, role: operator}\n    - {name: Di, role: support}\n    - {name: Robot, role: bot}\n"
    assert not found("work/hour", by_hand(["D-2 10:00"], 6, 2, staff=staff))
    (shared,) = found("work/hour", by_hand(["D-2 10:00"], 7, 2, staff=staff))
    assert "are more than 3 people can (6)" in shared.what
    (alone,) = found("work/hour", by_hand(["D-2 10:00"], 6, 2, staff=staff, to="Cy"))
    assert "are more than Cy can (2)" in alone.what
    assert found("work/hour", by_hand(["D-2 10:00"], 6, 2, staff=staff, to="Nobody of ours"))


def test_what_nobody_has_to_post_is_no_work(found):
    assert not found(
        "work/hour", launch({"recruit": ("D-3 00:10", "D-1 23:50", [say("D-2 10:00", "one")])}, groups=many(30))
    )


# All of them


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("voice/broadcasts", series(["No."] * 5)),
        ("voice/repeats", series([LONG] * 3)),
        ("rhythm/tightens", numbered(STEADY | {"recruit": ["D-11 09:00", "D-11 10:00", "D-11 11:00"]})),
        ("rhythm/sag", numbered(STEADY | {"nurture": ["D-5 09:00", "D-2 09:10"]})),
        ("quiet/hours", series(["No."]).replace("D-2 9:00", "D-2 3:00")),
        ("rates/minute", rated([say("D-2 10:00", "one", kind="countdown")], 41, 20)),
        ("rates/daily", capped([("D-3 09:00", ""), ("D-3 10:00", "")], 1)),
        ("rates/monthly", monthly([("D-3 09:00", ""), ("D-2 10:00", "")], 1)),
        ("work/hour", by_hand(["D-2 10:00"], 6, 2)),
    ],
)
def test_a_waived_rule_of_the_schedule_stays_on_record(found, rule, text):
    assert {finding.severity for finding in found(rule, text)} == {RULES[rule].severity}
    waived = found(rule, text.replace("phases:", f"waive: {{{rule}: on purpose}}\nphases:", 1))
    assert {finding.severity for finding in waived} == {"waived"}
