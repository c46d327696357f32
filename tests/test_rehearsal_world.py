"""The synthetic community, its operator and the replayed one."""

import json
from collections import Counter, defaultdict
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumroll.activity import Event, Person
from drumroll.clock import VirtualClock
from drumroll.launchfile.load import Findings, load_launch
from drumroll.launchfile.models import Launch
from drumroll.ledger.ledger import open_ledger
from drumroll.ledger.model import NewDelivery, Settlement
from drumroll.metrics.integrity import integrity
from drumroll.metrics.posts import Post
from drumroll.metrics.reading import Reading
from drumroll.metrics.registry import measure
from drumroll.operate.edition import Where, begin
from drumroll.operate.reading import reading_of
from drumroll.plan.compile import compile_plan
from drumroll.rehearsal.chance import stream
from drumroll.rehearsal.community import Community
from drumroll.rehearsal.crowd import Replayed, replayed
from drumroll.rehearsal.member import Heard, Member, respond
from drumroll.rehearsal.rhythm import Rhythm
from drumroll.rehearsal.temper import Temper
from drumroll.rehearsal.world import OPERATOR, World
from drumroll.sources.base import Export

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LAUNCH = {
    "drumroll": 1,
    "name": "kettle",
    "title": "Kettle club",
    "locale": "en",
    "timezone": "Asia/Taipei",
    "opens": "2026-12-05 12:00",
    "product": {"name": "Kettle", "promise": "boils", "result": "tea", "price": 90, "currency": "TWD"},
    "team": {
        "name": "us",
        "staff": [
            {"name": "Ada", "role": "host", "ids": ["ada", "wx-ada"]},
            {"name": "Ben", "role": "operator", "ids": ["ben"]},
            {"name": "Robot", "role": "bot", "ids": ["robot"]},
            {"name": "Cid", "role": "engineer"},
        ],
    },
    "community": {
        "channels": {"screen": {"kind": "console"}, "hand": {"kind": "hand_off", "lead": "30m"}},
        "groups": [
            {"id": "tea", "name": "Tea", "channel": "screen", "cap": 40},
            {"id": "wechat", "name": "WeChat", "channel": "hand", "cap": 30},
        ],
    },
    "phases": {
        "recruit": {
            "goal": "people",
            "starts": "D-4 09:00",
            "ends": "D-3 20:00",
            "steps": [
                {"id": "welcome", "at": "D-4 10:00", "kind": "welcome"},
                {"id": "roll-call", "at": "D-4 19:00", "kind": "prompt"},
            ],
        },
        "nurture": {
            "goal": "trust",
            "starts": "D-2 09:00",
            "ends": "D-1 20:00",
            "steps": [
                {"id": "story", "at": "D-2 12:00", "topic": "a story"},
                {"id": "doubts", "at": "D-2 20:00", "kind": "prompt"},
                {"id": "answers", "at": "D-1 12:00", "topic": "answers"},
            ],
        },
        "ignite": {
            "goal": "orders",
            "starts": "D-1 21:00",
            "ends": "D 23:00",
            "steps": [
                {"id": "terms", "at": "D-1 23:00", "topic": "terms"},
                {"id": "link", "at": "D 12:00", "kind": "link", "topic": "the link"},
                {"id": "last-call", "at": "D 21:00", "kind": "countdown", "counts_to": "D 22:00"},
            ],
        },
    },
}


def plan_of(document=LAUNCH):
    launch = document if isinstance(document, Launch) else Launch.model_validate(document)
    findings = Findings("kettle.yaml")
    plan = compile_plan(launch, findings, template_for=lambda phase, step: "en/words.md.j2", sources={})
    assert plan is not None, findings.items
    return plan


PLAN = plan_of()
STARTS, ENDS = PLAN.phases[0].starts, PLAN.phases[-1].gate_at


def posts_of(plan):
    """Every step of the plan as it would reach its groups, punctually."""
    return [
        Post(step.id, step.kind, group, step.due, step.number, f"{group}-{step.id}")
        for step in plan.steps
        for group in step.groups
    ]


def lived(plan=PLAN, *, seed=1, members=60, cuts=(), posts=None, temper=None, until=None):
    """Everything a community does when time is cut at these instants."""
    community = Community(plan, seed=seed, members=members, temper=temper)
    posts = posts_of(plan) if posts is None else posts
    bounds = [plan.phases[0].starts, *sorted(cuts), until or plan.phases[-1].gate_at]
    return [event for since, end in pairwise(bounds) for event in community.live(since, end, posts)]


def as_json(events):
    return json.dumps([{**asdict(event), "at": event.at.isoformat()} for event in events])


instants = st.lists(st.integers(0, int((ENDS - STARTS).total_seconds())), max_size=12).map(
    lambda seconds: [STARTS + timedelta(seconds=each) for each in seconds]
)


def test_the_same_seed_gives_the_same_events_to_the_byte():
    assert as_json(lived(seed=4)) == as_json(lived(seed=4))


def test_another_seed_gives_another_community():
    assert as_json(lived(seed=4)) != as_json(lived(seed=5))


@settings(max_examples=20, deadline=None)
@given(cuts=instants, order=st.randoms(use_true_random=False))
def test_neither_slicing_time_nor_the_order_of_posts_changes_anything(cuts, order):
    posts = posts_of(PLAN)
    order.shuffle(posts)
    assert lived(cuts=cuts, posts=posts) == lived()


def test_ids_are_unique_and_events_are_in_order_of_time():
    events = lived()
    assert len({event.id for event in events}) == len(events)
    assert [event.at for event in events] == sorted(event.at for event in events)


@settings(max_examples=15, deadline=None)
@given(cuts=instants, first=st.integers(-5, 50))
def test_no_event_lies_outside_the_span_it_was_asked_for(cuts, first):
    community, posts = Community(PLAN, seed=2, members=40), posts_of(PLAN)
    bounds = sorted([STARTS + first * HOUR, *cuts, ENDS])
    for since, until in pairwise(bounds):
        assert all(since <= event.at < until for event in community.live(since, until, posts))


def test_a_post_heard_late_is_answered_late_and_never_in_the_past():
    community = Community(PLAN, seed=2, members=60)
    evening = PLAN.step("doubts").due
    community.live(STARTS, evening + 2 * HOUR, [])
    events = community.live(evening + 2 * HOUR, evening + 12 * HOUR, posts_of(PLAN))
    assert [event for event in events if event.id.endswith("doubts/tea/1")]


def test_nobody_acts_before_joining_or_after_leaving():
    restless = replace(Temper(), leave=0.05)
    here = defaultdict(bool)
    left = 0
    for event in lived(temper=restless):
        seat = event.member, event.group
        if event.kind == "join":
            assert not here[seat]
        else:
            assert here[seat], event
        here[seat] = event.kind != "leave"
        left += event.kind == "leave"
    assert left > 5


def test_groups_never_hold_more_than_their_cap_and_the_rest_stays_outside():
    here = Counter()
    events = lived(members=200)
    for event in events:
        here[event.group] += {"join": 1, "leave": -1}.get(event.kind, 0)
        assert here["tea"] <= 40
        assert here["wechat"] <= 30
    assert here["tea"] >= 38
    assert len({event.member for event in events}) < 200


def test_members_are_dealt_to_groups_by_their_size():
    joined = Counter(event.group for event in lived(members=35) if event.kind == "join")
    assert joined["tea"] > joined["wechat"] > 10


def test_staff_and_bots_are_flagged_under_each_of_their_ids_and_members_are_not():
    people = {person.id: person for person in Community(PLAN, seed=1, members=5).people()}
    assert [each for each, person in people.items() if person.is_staff] == ["ada", "wx-ada", "ben", "robot"]
    assert [each for each, person in people.items() if person.is_bot] == ["robot"]
    assert sum(person.counts for person in people.values()) == 5


def test_staff_write_too_so_that_their_exclusion_shows():
    community = Community(PLAN, seed=1, members=60)
    events = community.live(STARTS, ENDS, posts_of(PLAN))
    excluded = integrity(Reading(events, community.people(), posts_of(PLAN), ["tea", "wechat"], ENDS))
    assert {event.member for event in events if event.kind == "message"} & {"ada", "ben"}
    assert "1" in excluded.sentence()


def test_most_members_join_before_the_first_gate_and_the_first_day_is_the_fullest():
    roomy = {**LAUNCH["community"], "groups": [{"id": "tea", "name": "Tea", "channel": "screen", "cap": 9999}]}
    joins = [e.at for e in lived(plan_of({**LAUNCH, "community": roomy}), members=400) if e.kind == "join"]
    early = sum(at < PLAN.phases[0].gate_at for at in joins) / 400
    assert 0.78 < early < 0.93
    assert sum(at < STARTS + 14 * HOUR for at in joins) > len(joins) / 2


def test_people_sleep_at_night():
    hours = Counter(event.at.astimezone(ZoneInfo("Asia/Taipei")).hour for event in lived() if event.kind != "join")
    assert sum(hours[hour] for hour in range(1, 7)) < 0.03 * hours.total()


def test_answers_come_mostly_within_the_hour_and_prompts_draw_most():
    steps = {step.id: step for step in PLAN.steps}
    answers = [
        (steps[event.id.split("/")[2]], event.at)
        for event in lived(members=70)
        if event.kind == "message" and event.id.endswith("/1") and event.member.startswith("member")
        if event.id.split("/")[2] in steps
    ]
    waits = [at - step.due for step, at in answers if step.kind == "prompt"]
    assert len(waits) > len(answers) / 2
    assert sum(wait < HOUR for wait in waits) > 0.6 * len(waits)


def test_nobody_orders_before_the_link_or_after_the_closing():
    events = [event for seed in range(6) for event in lived(seed=seed, members=70)]
    orders = [event.at for event in events if event.kind == "order"]
    assert len(orders) > 10
    assert PLAN.step("link").due < min(orders)
    assert max(orders) < PLAN.step("last-call").counts_to
    assert min(event.at for event in events if event.kind == "click") > PLAN.step("link").due


def test_without_a_link_nobody_orders():
    posts = [post for post in posts_of(PLAN) if post.kind != "link"]
    assert not {event.kind for seed in range(4) for event in lived(seed=seed, posts=posts)} & {"order", "click"}


def test_nobody_joins_the_waitlist_before_nurture_or_twice():
    waitlist = Counter(event.member for event in lived(members=70) if event.kind == "waitlist")
    first = min(event.at for event in lived(members=70) if event.kind == "waitlist")
    assert len(waitlist) > 3
    assert set(waitlist.values()) == {1}
    assert first > PLAN.phase("nurture").starts


def test_the_waitlist_makes_an_order_likelier():
    def orders(*, waitlisted):
        post = Post("link", "link", "tea", PLAN.step("link").due)
        heard = Heard(post, post.at, "link/tea/1", run=1, inviting=False, selling=True)
        temper = Temper()
        rhythm = Rhythm("Asia/Taipei", temper)
        acts = [
            act.kind
            for number in range(800)
            for act in respond(Member("m", STARTS, waitlisted=waitlisted), heard, temper, rhythm, stream(1, number))
        ]
        return acts.count("order")

    assert orders(waitlisted=True) > 1.5 * orders(waitlisted=False)


def test_broadcasts_without_a_question_drive_people_away():
    def leavers(kind):
        step = PLAN.step("welcome").due + 6 * HOUR
        posts = [
            Post(f"post-{n}", kind, g, step + n * HOUR, id=f"{g}{n}") for n in range(60) for g in ("tea", "wechat")
        ]
        return sum(event.kind == "leave" for seed in range(3) for event in lived(seed=seed, members=70, posts=posts))

    assert leavers("announcement") > 2 * leavers("prompt")


def test_a_repeated_step_is_answered_anew():
    at = PLAN.step("doubts").due
    posts = [Post("nurture.remedy.ask", "prompt", "tea", at + n * HOUR) for n in range(2)]
    answers = [event.id for event in lived(members=70, posts=posts) if "/message/nurture.remedy.ask/tea/" in event.id]
    firsts = {each.rsplit("/", 1)[0] for each in answers if each.endswith("/1")}
    seconds = {each.rsplit("/", 1)[0] for each in answers if each.endswith("/2")}
    assert firsts
    assert seconds
    assert firsts != seconds


def test_buyers_also_join_the_group_for_buyers():
    groups = [*LAUNCH["community"]["groups"], {"id": "owners", "name": "Owners", "channel": "screen", "kind": "value"}]
    events = lived(plan_of({**LAUNCH, "community": {**LAUNCH["community"], "groups": groups}}), members=70)
    buyers = {event.member for event in events if event.kind == "order"}
    owners = {event.member for event in events if event.kind == "join" and event.group == "owners"}
    assert buyers
    assert owners - {"ada", "ben"} == buyers


def test_a_launch_of_a_single_night_still_gets_its_members():
    phases = {"recruit": {"goal": "people", "starts": "D 01:00", "ends": "D 05:00"}}
    night = plan_of({**LAUNCH, "phases": phases})
    assert sum(event.kind == "join" for event in lived(night, members=20)) > 15


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_example_launch_meets_a_community_that_takes_part(seed):
    launch, _ = load_launch(Path(__file__).parent.parent / "configs" / "learning-phone.yaml")
    plan = plan_of(launch)
    community, posts = Community(plan, seed=seed, members=300), posts_of(plan)
    events = community.live(plan.phases[0].starts, plan.phases[-1].gate_at, posts)

    def bounds(metric, phase, *, since=None):
        until = plan.phase(phase).gate_at
        return measure(
            metric, Reading(events, community.people(), posts, launch.group_ids(), until), since=since, until=until
        )

    build_up = plan.phase("build_up").starts
    assert bounds("active_rate", "build_up", since=build_up).lower > 0.38
    assert bounds("ugc_authors", "build_up", since=build_up).value >= 50
    assert bounds("retention_d3", "nurture").lower > 0.17
    assert 0.15 < bounds("waitlist_rate", "nurture").value < 0.32
    assert 0.07 < bounds("conversion", "ignite").value < 0.16
    assert bounds("leave_rate", "aftercare").upper < 0.08


@pytest.fixture
def where(tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = open_ledger(url)
    begin(PLAN, ledger=ledger, rehearsal=True, now=STARTS)
    yield Where(PLAN.edition, url, str(tmp_path))
    ledger.close()


def send(where, step, *, at, awaiting=False):
    """Settle what is claimable of a step at `at`, as the sender would."""
    ledger = where.open()
    claims = ledger.claim(where.edition, step, 1, now=at, limit=10, lease=HOUR)
    state = "awaiting" if awaiting else "sent"
    ledger.settle([Settlement(claim, state, message_id=claim.group, sent_at=at) for claim in claims], now=at)
    return [claim.key for claim in claims]


def ticked(where):
    return [row for row in where.open().deliveries(where.edition, state="sent") if row.group == "wechat"]


async def test_hand_offs_are_ticked_off_in_order_of_time_after_their_instants(where):
    ledger, clock, due = where.open(), VirtualClock(STARTS), PLAN.step("welcome").due
    world = World(where, clock, seed=3, members=30)
    assert clock.on_advance == world.advance
    direct = [
        NewDelivery("welcome", "recruit", "hand", "wechat", due, due - 30 * MINUTE, member=f"m{n}") for n in range(6)
    ]
    ledger.schedule(where.edition, direct)
    send(where, "welcome", at=due - 20 * MINUTE, awaiting=True)
    await clock.sleep_until(ENDS)
    decisions = ledger.decisions(where.edition)
    assert {decision.by for decision in decisions} == {OPERATOR}
    assert [decision.at for decision in decisions] == sorted(decision.at for decision in decisions)
    ticks = {row.key: row.sent_at for row in ticked(where)}
    assert ticks == {decision.subject: decision.at for decision in decisions}
    assert len(ticks) == 7
    assert all(timedelta(seconds=5) <= at - due <= 4 * MINUTE for at in ticks.values())


async def test_a_message_to_one_member_is_no_post_to_the_group(where):
    ledger, clock, due = where.open(), VirtualClock(STARTS), PLAN.step("welcome").due
    World(where, clock, seed=3, members=60)
    ledger.schedule(where.edition, [NewDelivery("hello", "recruit", "hand", "wechat", due, due, member="m1")])
    send(where, "hello", at=due)
    await clock.sleep_until(ENDS)
    events, _ = ledger.activity(where.edition, until=ENDS)
    assert events
    assert not [event for event in events if event.kind == "read"]


async def test_a_hand_off_waits_for_its_instant(where):
    clock = VirtualClock(STARTS)
    World(where, clock, seed=3, members=30)
    due = PLAN.step("welcome").due
    send(where, "welcome", at=due - 20 * MINUTE, awaiting=True)
    await clock.sleep_until(due)
    assert not ticked(where)
    await clock.sleep_until(due + 5 * MINUTE)
    assert [row.step for row in ticked(where)] == ["welcome"]


async def test_what_was_ticked_off_is_read_from_then_on_and_never_before(where):
    clock = VirtualClock(STARTS)
    World(where, clock, seed=3, members=60)
    send(where, "doubts", at=PLAN.step("doubts").due - 20 * MINUTE, awaiting=True)
    await clock.sleep_until(ENDS)
    (tick,) = [row.sent_at for row in ticked(where)]
    events, _ = where.open().activity(where.edition, until=ENDS)
    reads = [event.at for event in events if "/doubts/wechat/" in event.id]
    assert len(reads) > 5
    assert min(reads) > tick


async def rehearsed(where, cuts):
    clock = VirtualClock(STARTS)
    World(where, clock, seed=7, members=50)
    sends = {
        (step.due - lead, step.id, awaiting)
        for step in PLAN.steps
        for lead, awaiting in ((30 * MINUTE, True), (0 * MINUTE, False))
    }
    for at, step, awaiting in sorted({*sends, *((cut, "", False) for cut in cuts)}):
        await clock.sleep_until(at)
        if step:
            send(where, step, at=at, awaiting=awaiting)
    await clock.sleep_until(ENDS)
    return where.open().activity(where.edition, until=ENDS)


async def test_a_whole_rehearsal_gives_the_same_ledger_however_often_the_clock_stops(where, tmp_path):
    url = f"sqlite:///{tmp_path / 'other.db'}"
    begin(PLAN, ledger=open_ledger(url), rehearsal=True, now=STARTS)
    once = await rehearsed(where, [])
    often = await rehearsed(Where(PLAN.edition, url, str(tmp_path)), [STARTS + n * 37 * MINUTE for n in range(1, 150)])
    open_ledger(url).close()
    assert once == often
    assert len({event.group for event in once[0]}) == 2


async def test_staff_are_outside_the_reading_of_a_rehearsal_and_strangers_are_not_in_the_ledger(where):
    await rehearsed(where, [])
    reading = reading_of(where.open(), PLAN, now=ENDS)
    assert reading.outside == {"ada", "wx-ada", "ben", "robot"}
    acted = {event.member for event in reading.events}
    assert {person.id for person in reading.people} == acted | reading.outside


def exported(seconds):
    start = datetime(2016, 6, 1, tzinfo=UTC)
    events = [
        Event("slack", f"{n}", "message", start + timedelta(seconds=each), "general", "ann")
        for n, each in enumerate(seconds)
    ]
    return Export(people=[Person("ann", "Ann"), Person("ada", "Ada"), Person("hubot", is_bot=True)], events=events)


@given(seconds=st.lists(st.integers(0, 10**6), max_size=40), cuts=instants)
def test_a_replay_releases_every_event_exactly_once_however_time_is_sliced(seconds, cuts):
    crowd = replayed(exported(seconds), PLAN)
    bounds = [STARTS, *sorted(cuts), ENDS]
    released = []
    for since, until in pairwise(bounds):
        found = crowd.live(since, until, [])
        assert all(since <= event.at < until for event in found)
        released += found
    assert sorted(event.id for event in released) == sorted(f"{n}" for n in range(len(seconds)))


def test_a_replay_that_starts_late_still_releases_what_came_before():
    events = exported([0, 10]).events
    crowd = Replayed(Export(people=[], events=events))
    assert crowd.live(events[1].at, events[1].at + HOUR, []) == list(events)


def test_in_a_replay_only_those_that_export_or_launch_flag_do_not_count():
    people = replayed(exported([1]), PLAN).people()
    assert [person.id for person in people if person.counts] == ["ann"]
    assert [person.id for person in people if person.is_staff] == ["ada"]


async def test_a_replayed_world_takes_in_the_whole_export(where):
    clock = VirtualClock(STARTS)
    World(where, clock, seed=1, members=9, export=exported([0, 3, 3, 500]))
    for hour in range(1, 200, 7):
        await clock.sleep_until(min(ENDS, STARTS + hour * HOUR))
    events, people = where.open().activity(where.edition, until=ENDS)
    assert [event.id for event in events] == ["0", "1", "2", "3"]
    assert {event.source for event in events} == {"replay"}
    assert people["ada"].is_staff


def test_a_world_moves_only_with_its_clock(where):
    World(where, VirtualClock(STARTS), seed=1, members=9)
    assert where.open().activity(where.edition, until=ENDS) == ([], {})
