"""The engine without Prefect: beats, wordings, sends and gates over a real ledger and real channels."""

import asyncio
import json
import logging
from datetime import timedelta

import pytest

from drumroll.activity import Event, Person
from drumroll.check import check_file
from drumroll.clock import VirtualClock
from drumroll.errors import DrumrollError
from drumroll.ledger.ledger import open_ledger
from drumroll.operate.alarms import alarms
from drumroll.operate.beats import Beat, enter, next_beat, next_leftover
from drumroll.operate.edition import Where, begin
from drumroll.operate.gating import decide, read_gate
from drumroll.operate.open_channels import try_channels
from drumroll.operate.opening import close_edition, open_edition
from drumroll.operate.sending import send_step
from drumroll.operate.watching import recover, running, sync
from drumroll.operate.wording import make_ready
from drumroll.rehearsal.stage import set_stage
from tests.driver import drive, say
from tests.webhook_sink import WebhookSink

LAUNCH = """\
drumroll: 1
name: small
title: A small launch
locale: en
timezone: Asia/Taipei
opens: "2026-12-12 12:00"
product: {{name: Lamp, promise: it lights, result: you read, price: 10, currency: USD}}
team: {{name: Team, staff: [{{name: Host, role: host, ids: [host]}}]}}
community:
  channels:
    out: {channel}
    hand: {{kind: hand_off, lead: 30m}}
  groups:
    - {{id: g1, name: One, channel: out}}
    - {{id: g2, name: Two, channel: out}}
    - {{id: g3, name: Three, channel: hand}}
  segments:
    quiet: {{silent_for: 1d}}
  sources: {sources}
phases:
  recruit:
    goal: people
    starts: D 08:00
    ends: D 20:00
    slack: 6h
    steps:
      - {{id: first, at: "D 10:00", vars: {{text: hello}}}}
      - {{id: count, at: "D 11:00", kind: countdown, counts_to: "D 12:00", template: count}}
      - {{id: second, at: "D 13:00", topic: the second}}
      {extra}
    gate:
      thresholds: [{{metric: members, at_least: 3}}]
      otherwise: [remedy, extend, hold]
      recheck: 2h
      remedy: [{{id: nudge, after: 10m, template: count}}]
"""
PLAIN = "{kind: file, path: out.jsonl}"


@pytest.fixture
def stage(tmp_path):
    """A function that begins the small launch and returns where it is, with a clock at 08:00 of the day."""
    opened = []

    def set_up(channel=PLAIN, extra="", sources="[]", templates=(), later=""):
        folder = tmp_path / "templates" / "en"
        (folder / "recruit").mkdir(parents=True)
        (folder / "recruit" / "announcement.md.j2").write_text(
            "{{ step.label }} {{ vars.text | default('news') }}\n"
            "{% if teaser %}{{ teaser.topic }} {{ teaser.when }}{% endif %}"
        )
        (folder / "count.md.j2").write_text("{{ left }} left")
        for name, source in dict(templates).items():
            (folder / f"{name}.md.j2").write_text(source)
        (tmp_path / "configs").mkdir()
        file = tmp_path / "configs" / "small.yaml"
        file.write_text(LAUNCH.format(channel=channel, extra=extra, sources=sources) + later)
        plan = check_file(file).accepted()
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
        ledger = open_ledger(url)
        opened.append(ledger)
        clock = VirtualClock(plan.phases[0].starts)
        begin(plan, ledger=ledger, rehearsal=False, now=clock.now())
        return Where(plan.edition, url, str(tmp_path)), clock

    yield set_up
    for ledger in opened:
        ledger.close()


def states(where):
    return {f"{row.step}/{row.recipient}": row.state for row in where.open().deliveries(where.edition)}


def outbox(where):
    text = (where.open().store.path.parent / "out.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def join(where, clock, *members):
    people = [Person(name) for name in members]
    events = [Event("test", f"join-{name}", "join", clock.now(), "g1", name) for name in members]
    where.open().take_in(where.edition, people, events)


async def test_every_group_gets_every_message_once_in_order(stage):
    where, clock = stage()
    await drive(where, "recruit", clock)
    said = [(line["step"], line["group"]) for line in outbox(where)]
    assert said[:6] == [(step, group) for step in ("first", "count", "second") for group in ("g1", "g2")]
    assert len(set(said)) == len(said)


async def test_all_groups_of_a_step_get_the_same_words(stage):
    where, clock = stage()
    await drive(where, "recruit", clock, beats=10)
    words = {
        line["step"]: {other["text"] for other in outbox(where) if other["step"] == line["step"]}
        for line in outbox(where)
    }
    assert all(len(texts) == 1 for texts in words.values())
    assert words["first"] == {"No. 01 · hello\nthe second today at 13:00"}


async def test_a_hand_off_goes_out_its_lead_early_and_waits_for_a_person(stage):
    where, clock = stage()
    beat = next_beat(where, "recruit", now=clock.now())
    assert (beat.step, beat.at) == ("first", where.plan().step("first").due - timedelta(minutes=30))
    await drive(where, "recruit", clock, beats=1)
    assert states(where)["first/g3"] == "awaiting"
    assert states(where)["first/g1"] == "due"


async def test_driving_again_sends_nothing_again(stage):
    where, clock = stage()
    await drive(where, "recruit", clock)
    before = outbox(where)
    await drive(where, "recruit", clock)
    assert outbox(where) == before


async def test_after_an_outage_stale_messages_are_set_aside_and_nothing_bursts(stage):
    where, clock = stage()
    await clock.sleep_until(where.plan().step("second").due + timedelta(hours=3))
    await drive(where, "recruit", clock, beats=3)
    assert states(where) == {
        **{f"first/g{n}": "held" for n in (1, 2, 3)},
        **{f"count/g{n}": "skipped" for n in (1, 2, 3)},
        **{f"second/g{n}": "held" for n in (1, 2, 3)},
    }
    assert not (where.open().store.path.parent / "out.jsonl").exists()


async def test_a_late_countdown_within_its_policy_says_the_time_that_is_left_now(stage):
    where, clock = stage(
        extra='- {id: soon, at: "D 14:00", kind: countdown, counts_to: "D 16:00", template: count, on_late: rerender, max_late: 1h}'
    )
    await clock.sleep_until(where.plan().step("soon").due + timedelta(minutes=45))
    await drive(where, "recruit", clock, beats=4)
    assert {line["text"] for line in outbox(where) if line["step"] == "soon"} == {"1 hour 15 minutes left"}


async def test_a_person_can_release_a_held_delivery(stage):
    where, clock = stage()
    await clock.sleep_until(where.plan().step("second").due + timedelta(hours=3))
    await drive(where, "recruit", clock, beats=3)
    where.open().resolve(f"{where.edition}/second/1/g1", "resend", by="Ann", reason="still true", now=clock.now())
    await drive(where, "recruit", clock, beats=1)
    assert [(line["step"], line["group"]) for line in outbox(where)] == [("second", "g1")]


async def test_a_missed_gate_remedies_then_extends_then_holds(stage):
    where, clock = stage()
    assert await drive(where, "recruit", clock) == "hold"
    checks = where.open().checks(where.edition, "recruit")
    assert [check.verdict for check in checks][:2] == ["remedy", "extend"]
    assert checks[-1].verdict == "hold"
    assert checks[-1].checked_at == where.plan().phase("recruit").latest
    nudges = {line["group"] for line in outbox(where) if line["step"] == "recruit.remedy.nudge"}
    assert nudges == {"g1", "g2"}


async def test_a_gate_passes_on_what_the_ledger_knows_and_stays_passed(stage):
    where, clock = stage()
    join(where, clock, "a", "b", "c", "host")
    assert await drive(where, "recruit", clock) == "pass"
    assert await drive(where, "recruit", clock) == "pass"
    assert len(where.open().checks(where.edition, "recruit")) == 1


async def test_staff_do_not_open_a_gate(stage):
    where, clock = stage()
    join(where, clock, "a", "b", "host")
    assert await drive(where, "recruit", clock) == "hold"


async def test_a_person_decides_a_held_gate_on_record(stage):
    where, clock = stage()
    await drive(where, "recruit", clock)
    decide(where, "recruit", "pass", by="Ann", reason="the room is small but warm", now=clock.now())
    assert await drive(where, "recruit", clock) == "pass"
    [decision] = where.open().decisions(where.edition, "gate recruit")
    assert (decision.by, decision.choice) == ("Ann", "pass")


async def test_only_a_held_gate_takes_a_decision(stage):
    where, clock = stage()
    with pytest.raises(DrumrollError, match="has not been read yet; only a held gate"):
        decide(where, "recruit", "pass", by="Ann", reason="eager", now=clock.now())


async def test_a_step_to_a_segment_goes_to_its_members_one_by_one(stage):
    where, clock = stage(extra='- {id: still-there, at: "D 15:00", kind: prompt, segment: quiet, template: count}')
    clock_start = clock.now()
    join(where, VirtualClock(clock_start - timedelta(days=2)), "shy", "loud")
    talk = [Event("test", "m1", "message", clock_start, "g1", "loud")]
    where.open().take_in(where.edition, [], talk)
    await drive(where, "recruit", clock)
    assert [(line["group"], line["member"]) for line in outbox(where) if line["step"] == "still-there"] == [
        ("g1", "shy")
    ]


async def test_an_empty_segment_is_asked_once_only(stage):
    where, clock = stage(extra='- {id: still-there, at: "D 15:00", kind: prompt, segment: quiet, template: count}')
    assert await drive(where, "recruit", clock) == "hold"
    assert not [row for row in where.open().deliveries(where.edition) if row.step == "still-there"]


def webhook(url, **options):
    extra = "".join(f", {key}: {value}" for key, value in options.items())
    return f'{{kind: webhook, url: "{url}", timeout: 1s{extra}}}'


async def test_a_transient_error_is_retried_until_it_arrives(stage):
    async with WebhookSink(script=["503", "429:7"]) as sink:
        where, clock = stage(webhook(sink.url))
        await drive(where, "recruit", clock, beats=5)
        assert states(where)["first/g1"] == states(where)["first/g2"] == "sent"
        assert len(sink.accepted) == 2


async def test_a_retry_after_does_not_hold_up_the_next_announcement(stage):
    async with WebhookSink(script=["429:10072"]) as sink:
        where, clock = stage(webhook(sink.url))
        await drive(where, "recruit", clock, beats=4)
        assert sorted(states(where)[f"first/{group}"] for group in ("g1", "g2")) == ["retry", "sent"]
        assert [data["step"] for data in sink.data] == ["first", "count", "count"]


async def test_a_retry_after_that_outlasts_the_message_ends_with_a_person(stage):
    async with WebhookSink(script=["429:99999999"]) as sink:
        where, clock = stage(webhook(sink.url))
        await drive(where, "recruit", clock, beats=5)
        assert sorted(states(where)[f"first/{group}"] for group in ("g1", "g2")) == ["held", "sent"]


async def test_an_ambiguous_answer_is_unknown_and_never_repeated(stage):
    async with WebhookSink(script=["then-drop"]) as sink:
        where, clock = stage(webhook(sink.url))
        await drive(where, "recruit", clock, beats=4)
        assert sorted(states(where)[f"first/{group}"] for group in ("g1", "g2")) == ["sent", "unknown"]
        assert len([data for data in sink.data if data["step"] == "first"]) == 2


async def test_an_ambiguous_answer_is_repeated_with_the_same_key_where_keys_are_honoured(stage):
    async with WebhookSink(script=["then-drop"], honour_keys=True) as sink:
        where, clock = stage(webhook(sink.url, idempotent="true"))
        await drive(where, "recruit", clock, beats=5)
        assert states(where)["first/g1"] == states(where)["first/g2"] == "sent"
        assert len([data for data in sink.data if data["step"] == "first"]) == 2


async def in_doubt(stage, sink):
    """`first` went out to both groups at its instant; the receiver took one of them and gave no answer."""
    where, clock = stage(webhook(sink.url, idempotent="true"))
    await drive(where, "recruit", clock, beats=2)
    assert sorted(states(where)[f"first/{group}"] for group in ("g1", "g2")) == ["sending", "sent"]
    return where, clock


async def test_what_may_have_arrived_is_never_skipped_or_held_as_if_it_had_not(stage):
    """The ledger would deny a message that members have read."""
    async with WebhookSink(script=["then-drop"], honour_keys=True) as sink:
        where, clock = await in_doubt(stage, sink)
        await clock.sleep_until(clock.now() + timedelta(hours=9))
        await drive(where, "recruit", clock, beats=3)
        assert sorted(states(where)[f"first/{group}"] for group in ("g1", "g2")) == ["sent", "unknown"]


async def test_what_may_have_arrived_stays_in_doubt_while_the_receiver_is_away(stage):
    async with WebhookSink(script=["then-drop", "accept", "503", "429:3"], honour_keys=True) as sink:
        where, clock = await in_doubt(stage, sink)
        for _ in range(2):
            await drive(where, "recruit", clock, beats=1)
            assert sorted(states(where)[f"first/{group}"] for group in ("g1", "g2")) == ["sending", "sent"]
        await drive(where, "recruit", clock, beats=1)
        assert states(where)["first/g1"] == states(where)["first/g2"] == "sent"


@pytest.mark.parametrize("answers", [["410"], ["503"] * 7])
async def test_what_may_have_arrived_ends_unknown_when_the_receiver_takes_it_no_more(stage, answers):
    async with WebhookSink(script=["then-drop", "accept", *answers], honour_keys=True) as sink:
        where, clock = await in_doubt(stage, sink)
        await drive(where, "recruit", clock, beats=len(answers))
        assert sorted(states(where)[f"first/{group}"] for group in ("g1", "g2")) == ["sent", "unknown"]


async def test_a_permanent_error_fails_that_group_only_and_is_told(stage, caplog):
    async with WebhookSink(script=["404"]) as sink:
        where, clock = stage(webhook(sink.url))
        with caplog.at_level(logging.WARNING, logger="drumroll.story"):
            await drive(where, "recruit", clock, beats=2)
        assert sorted(states(where)[f"first/{group}"] for group in ("g1", "g2")) == ["failed", "sent"]
        assert "404" in caplog.text


async def test_a_cancelled_send_still_settles_what_is_on_the_wire(stage):
    async with WebhookSink(then="then-slow:0.3") as sink:
        where, clock = stage(webhook(sink.url))
        await clock.sleep_until(where.plan().step("first").due)
        ready = make_ready(where, Beat("announce", clock.now(), "first"), now=clock.now())
        sending = asyncio.create_task(send_step(where, ready, clock))
        while len(sink.accepted) < 2:
            await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert states(where)["first/g1"] == states(where)["first/g2"] == "sent"


async def interrupted(where, clock):
    """Leave first/g1 and first/g2 in `sending`, as a killed engine does, and let their lease pass."""
    await clock.sleep_until(where.plan().step("first").due)
    ready = make_ready(where, Beat("announce", clock.now(), "first"), now=clock.now())
    claims = where.open().claim(
        where.edition, "first", 1, now=clock.now(), limit=10, lease=timedelta(seconds=5), wording=ready.sha
    )
    await clock.sleep_until(clock.now() + timedelta(seconds=6))
    return claims


async def test_after_a_kill_a_channel_without_keys_leaves_unknown(stage):
    async with WebhookSink() as sink:
        where, clock = stage(webhook(sink.url))
        await interrupted(where, clock)
        await drive(where, "recruit", clock, beats=1)
        assert states(where)["first/g1"] == states(where)["first/g2"] == "unknown"
        assert not sink.accepted


async def test_after_a_kill_a_channel_that_honours_keys_gets_the_same_key_again(stage):
    async with WebhookSink(honour_keys=True) as sink:
        where, clock = stage(webhook(sink.url, idempotent="true"))
        await interrupted(where, clock)
        await drive(where, "recruit", clock, beats=1)
        assert states(where)["first/g1"] == states(where)["first/g2"] == "sent"
        assert len(sink.accepted) == 2


async def test_after_a_kill_a_channel_that_can_look_up_is_asked(stage):
    where, clock = stage()
    await interrupted(where, clock)
    await drive(where, "recruit", clock, beats=1)
    assert states(where)["first/g1"] == states(where)["first/g2"] == "sent"
    assert len(outbox(where)) == 2


async def test_the_watch_recovers_what_a_dead_engine_left(stage):
    where, clock = stage()
    await interrupted(where, clock)
    assert await recover(where, clock) == 3
    assert "sending" not in states(where).values()


async def test_the_watch_finds_running_editions_and_names_what_needs_a_person(stage, tmp_path):
    async with WebhookSink(script=["404"]) as sink:
        where, clock = stage(webhook(sink.url))
        await drive(where, "recruit", clock, beats=2)
        assert [found.edition for found in running(where.ledger, where.project)] == [where.edition]
        told = "\n".join(map(str, alarms(where, now=clock.now() + timedelta(minutes=20))))
        assert "failed" in told
        assert "to be posted by hand" in told


async def test_a_launchs_own_sources_are_read_before_its_gate(stage, tmp_path):
    where, clock = stage(sources="[{kind: csv, path: talk.csv, group: g1}]")
    rows = "".join(f"2026-12-12T00:1{n}:00Z,m{n}\n" for n in range(4))
    (tmp_path / "talk.csv").write_text("at,member\n" + rows)
    assert await drive(where, "recruit", clock) == "pass"
    assert sync(where) == 0


async def test_aborting_cancels_what_is_still_due(stage):
    where, clock = stage()
    await drive(where, "recruit", clock, beats=2)
    close_edition(where, "abort")
    assert set(states(where).values()) == {"sent", "awaiting", "cancelled"}
    assert where.open().edition(where.edition).state == "aborted"


async def test_a_channel_whose_secret_is_missing_is_named_before_anything_is_sent(stage, monkeypatch):
    monkeypatch.delenv("NOWHERE_URL", raising=False)
    where, _ = stage("{kind: webhook, url_env: NOWHERE_URL}")
    with pytest.raises(DrumrollError, match="NOWHERE_URL"):
        await try_channels(where.plan(), where.project)


async def test_a_channel_that_cannot_open_is_tried_again_and_holds_up_no_other(stage, monkeypatch):
    monkeypatch.delenv("NOWHERE_URL", raising=False)
    where, clock = stage("{kind: webhook, url_env: NOWHERE_URL}")
    await drive(where, "recruit", clock, beats=2)
    assert states(where)["first/g1"] == "retry"
    assert states(where)["first/g3"] == "awaiting"
    assert "NOWHERE_URL" in where.open().delivery(f"{where.edition}/first/1/g1").error


async def test_a_release_survives_a_transient_error(stage):
    async with WebhookSink(script=["503", "503"]) as sink:
        where, clock = stage(webhook(sink.url))
        await clock.sleep_until(where.plan().step("second").due + timedelta(hours=3))
        await drive(where, "recruit", clock, beats=3)
        where.open().resolve(f"{where.edition}/second/1/g1", "resend", by="Ann", reason="still true", now=clock.now())
        await drive(where, "recruit", clock, beats=3)
        assert states(where)["second/g1"] == "sent"
        assert states(where)["second/g2"] == "held"


async def test_after_an_outage_only_the_newest_announcement_goes_out_by_itself(stage):
    where, clock = stage()
    await clock.sleep_until(where.plan().step("second").due + timedelta(minutes=30))
    await drive(where, "recruit", clock, beats=3)
    late = {key: state for key, state in states(where).items() if key.endswith("/g1")}
    assert late == {"first/g1": "held", "count/g1": "skipped", "second/g1": "sent"}


@pytest.mark.parametrize(("later", "ends"), [("", "sent"), ("    to: [g2]\n", "sent"), ("    to: [g1, g2]\n", "held")])
async def test_after_an_outage_only_the_newest_message_without_a_number_reaches_a_group(stage, later, ends):
    prompts = '- {id: asked, at: "D 13:30", kind: prompt, template: count, to: [g1], counts_to: "D 20:00"}\n'
    if later:
        prompts += (
            f'      - id: again\n        at: "D 14:00"\n        kind: prompt\n        template: count\n    {later}'
        )
        prompts += '        counts_to: "D 20:00"\n'
    where, clock = stage(extra=prompts)
    await clock.sleep_until(clock.now() + timedelta(hours=6, minutes=30))  # 14:30
    while next_beat(where, "recruit", now=clock.now()).at <= clock.now():
        await drive(where, "recruit", clock, beats=1)
    assert states(where)["asked/g1"] == ends


async def test_what_a_dead_engine_left_is_not_sent_again_when_it_is_too_late(stage):
    async with WebhookSink(honour_keys=True) as sink:
        where, clock = stage(webhook(sink.url, idempotent="true"))
        await interrupted(where, clock)
        await clock.sleep_until(clock.now() + timedelta(hours=9))
        await drive(where, "recruit", clock, beats=3)
        assert states(where)["first/g1"] == states(where)["first/g2"] == "unknown"
        assert not sink.accepted
        assert "late" in where.open().delivery(f"{where.edition}/first/1/g1").error


async def test_words_that_cannot_be_rendered_are_held_and_the_launch_goes_on(stage):
    where, clock = stage(
        extra='- {id: brittle, at: "D 14:00", kind: prompt, template: brittle, counts_to: "D 15:00", max_late: 5h, on_late: rerender}',
        templates={"brittle": "{{ 60 // ((counts_to - now).total_seconds() // 3600) }}"},
    )
    await clock.sleep_until(where.plan().step("brittle").due + timedelta(minutes=30))
    await drive(where, "recruit", clock, beats=5)
    assert states(where)["brittle/g1"] == "held"
    assert "cannot be rendered" in where.open().delivery(f"{where.edition}/brittle/1/g1").error


async def test_a_gate_read_by_two_engines_is_judged_once(stage):
    where, clock = stage()
    await clock.sleep_until(where.plan().phase("recruit").gate_at)
    assert read_gate(where, "recruit", now=clock.now()) is not None
    assert read_gate(where, "recruit", now=clock.now()) is None
    assert len(where.open().checks(where.edition, "recruit")) == 1


async def test_a_broken_source_does_not_stop_the_gate_and_is_told(stage, tmp_path, caplog):
    where, clock = stage(sources="[{kind: csv, path: talk.csv, group: g1}]")
    (tmp_path / "talk.csv").write_text('at,member\n2026-12-12T00:10:00Z,"m')
    with caplog.at_level(logging.WARNING, logger="drumroll.story"):
        assert await drive(where, "recruit", clock) == "hold"
    assert "judged without the newest engagement" in caplog.text


async def test_a_phase_may_not_begin_before_the_gates_before_it_have_passed(stage):
    where, _ = stage(later='  ignite: {goal: orders, starts: "D+1 08:00", ends: "D+1 20:00"}')
    enter(where, "recruit")
    with pytest.raises(DrumrollError, match="ignite may not begin before the gate of recruit has passed"):
        enter(where, "ignite")


async def test_an_aborted_edition_is_not_entered_again(stage):
    where, _ = stage()
    close_edition(where, "abort")
    with pytest.raises(DrumrollError, match="is aborted"):
        enter(where, "recruit")


async def test_after_an_abort_a_doubtful_message_is_shown_and_not_repeated(stage):
    async with WebhookSink(honour_keys=True) as sink:
        where, clock = stage(webhook(sink.url, idempotent="true"))
        await interrupted(where, clock)
        close_edition(where, "abort")
        while (beat := next_leftover(where, "recruit", now=clock.now())) is not None:
            await clock.sleep_until(beat.at)
            await say(where, beat, clock)
        assert states(where)["first/g1"] == "unknown"
        assert not sink.accepted


async def test_each_channel_is_sent_through_at_its_own_width(stage):
    async with WebhookSink(then="then-slow:0.05") as sink:
        where, clock = stage(webhook(sink.url, concurrency=1))
        await drive(where, "recruit", clock, beats=2)
        assert sink.most_at_once == 1
        assert states(where)["first/g1"] == states(where)["first/g2"] == "sent"


async def test_an_edited_opening_does_not_quietly_begin_a_second_edition(stage, tmp_path):
    where, _ = stage()
    file = tmp_path / "configs" / "small.yaml"
    file.write_text(file.read_text().replace("2026-12-12 12:00", "2026-12-13 12:00"))
    with pytest.raises(DrumrollError, match="small@2026-12-12 is running, and the file now opens on another day"):
        await open_edition(file, ledger=where.ledger)
    second = await open_edition(file, ledger=where.ledger, opens="2026-12-13 12:00")
    assert second.edition == "small@2026-12-13"


async def test_another_opening_on_the_day_of_an_edition_is_refused(stage, tmp_path):
    where, _ = stage()
    file = tmp_path / "configs" / "small.yaml"
    with pytest.raises(DrumrollError, match="has begun with another opening on that day"):
        await open_edition(file, ledger=where.ledger, opens="2026-12-12 12:05")


async def test_a_launch_that_lies_in_the_past_does_not_begin(stage, tmp_path):
    where, _ = stage()
    file = tmp_path / "configs" / "small.yaml"
    with pytest.raises(DrumrollError, match="all of it lies in the past"):
        await open_edition(file, ledger=where.ledger, opens="2020-12-12 12:00")


async def test_a_launch_whose_channel_cannot_work_does_not_begin(stage, tmp_path, monkeypatch):
    monkeypatch.delenv("NOWHERE_URL", raising=False)
    where, _ = stage()
    file = tmp_path / "configs" / "small.yaml"
    file.write_text(file.read_text().replace(PLAIN, "{kind: webhook, url_env: NOWHERE_URL}"))
    with pytest.raises(DrumrollError, match="NOWHERE_URL"):
        await open_edition(file, ledger=where.ledger, opens="2099-12-13 12:00")
    assert [row.id for row in where.open().editions()] == [where.edition]


def test_a_rehearsal_does_not_clear_a_folder_with_a_live_ledger(stage, tmp_path):
    where, _ = stage()
    with pytest.raises(DrumrollError, match="holds a live edition"):
        set_stage(where.plan(), project=tmp_path, out=tmp_path)
    assert where.open().edition(where.edition).rehearsal is False


async def test_recovery_does_not_stretch_one_deliverys_release_to_its_siblings(stage):
    async with WebhookSink(honour_keys=True) as sink:
        where, clock = stage(webhook(sink.url, idempotent="true"))
        await interrupted(where, clock)
        await clock.sleep_until(where.plan().step("first").due + timedelta(hours=9))
        released = Beat("announce", clock.now(), "first", released_at=clock.now())
        await send_step(where, make_ready(where, released, now=clock.now()), clock)
        assert states(where)["first/g1"] == states(where)["first/g2"] == "sending"
        assert not sink.accepted


async def test_the_watch_sends_a_released_delivery_that_its_engine_left_behind(stage):
    async with WebhookSink(honour_keys=True) as sink:
        where, clock = stage(webhook(sink.url, idempotent="true"))
        ledger = where.open()
        await clock.sleep_until(where.plan().step("first").due + timedelta(hours=9))
        await drive(where, "recruit", clock, beats=1)
        ledger.resolve(f"{where.edition}/first/1/g1", "resend", by="Ann", reason="still true", now=clock.now())
        ledger.claim(where.edition, "first", 1, now=clock.now(), limit=9, lease=timedelta(seconds=5), released=True)
        await clock.sleep_until(clock.now() + timedelta(seconds=6))
        await recover(where, clock)
        assert states(where)["first/g1"] == "sent"
        assert states(where)["first/g2"] == "held"
