from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumroll.activity import Event, Person
from drumroll.launchfile.community import Segment
from drumroll.metrics.integrity import integrity
from drumroll.metrics.posts import Post
from drumroll.metrics.reading import Reading
from drumroll.metrics.registry import METRICS, measure
from drumroll.metrics.segments import in_segment

START = datetime(2026, 12, 1, 8, tzinfo=UTC)
DAY = timedelta(days=1)
STAFF = (Person("host", "Host", is_staff=True), Person("bot", is_bot=True))
_ids = count()


def at(text):
    """`"2d 3h"` after START; `"5m"`, `"90s"`."""
    units = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
    return START + sum((timedelta(**{units[part[-1]]: float(part[:-1])}) for part in text.split()), timedelta())


def event(kind, member, when, group="a", reply_to=None, key=None):
    return Event(
        "test", key or f"e{next(_ids)}", kind, at(when) if isinstance(when, str) else when, group, member, reply_to
    )


def read(*events, posts=(), now="30d", groups=("a", "b"), people=STAFF):
    return Reading(events, people, posts, groups, at(now))


def value(name, reading, since="0d", until=None, **where):
    until = reading.now if until is None else at(until)
    return measure(name, reading, since=None if since is None else at(since), until=until, **where)


def joined(*members, group="a", when="0d"):
    return [event("join", member, when, group) for member in members]


# Membership


def test_a_member_who_left_is_no_longer_counted():
    reading = read(*joined("ann", "bo"), event("leave", "bo", "2d"))
    assert value("members", reading, until="1d").value == 2
    assert value("members", reading).value == 1


def test_a_first_sign_of_life_stands_for_a_join_that_nobody_recorded():
    reading = read(event("read", "ann", "1d"), event("join", "ann", "2d"))
    assert value("members", reading, until="1d").value == 0
    assert value("members", reading, until="1d 1s").value == 1


@pytest.mark.parametrize(("kind", "back"), [("join", 1), ("message", 1), ("reaction", 0), ("read", 0), ("order", 0)])
def test_only_a_join_or_a_message_brings_a_member_back(kind, back):
    reading = read(*joined("ann"), event("leave", "ann", "1d"), event(kind, "ann", "2d"))
    assert value("members", reading).value == back


def test_one_person_in_two_groups_is_one_member_until_gone_from_both():
    events = [*joined("ann"), *joined("ann", group="b"), event("leave", "ann", "2d", "a")]
    reading = read(*events, event("leave", "ann", "4d", "b"))
    assert value("members", reading, until="3d").value == 1
    assert value("members", reading, until="3d", group="a").value == 0
    assert value("members", reading, until="3d", group="b").value == 1
    assert value("members", reading).value == 0


def test_groups_add_up_to_the_whole_when_nobody_is_in_two():
    reading = read(*joined("ann", "bo"), *joined("cy", group="b"), event("message", "cy", "1h", "b"))
    assert [value("active_rate", reading, group=group).numerator for group in ("a", "b", None)] == [0, 1, 1]
    assert [value("active_rate", reading, group=group).n for group in ("a", "b", None)] == [2, 1, 3]


def test_events_of_groups_outside_the_reading_are_not_read():
    reading = read(*joined("ann"), *joined("eve", group="elsewhere"))
    assert value("members", reading).value == 1


def test_people_that_nobody_registered_count_and_staff_does_not():
    reading = read(*joined("ann", "host", "bot"))
    assert value("members", reading).value == 1


def test_one_entry_that_says_staff_is_enough():
    people = (Person("ann", is_staff=True), Person("ann", "Ann"))
    assert value("members", read(*joined("ann"), people=people)).value == 0


def test_a_joining_counts_once_and_a_return_is_not_new():
    reading = read(*joined("ann", "bo"), event("leave", "ann", "1d"), event("join", "ann", "2d"))
    assert value("joins", reading, since="0d").value == 2
    assert value("joins", reading, since="1d").value == 0


# Shares of members


def test_reach_counts_any_sign_and_activity_only_writing_and_reacting():
    reading = read(*joined("ann", "bo", "cy", "di"), event("read", "ann", "1h"), event("reaction", "bo", "1h"))
    assert (value("reach", reading).numerator, value("reach", reading).n) == (2, 4)
    assert value("active_rate", reading).value == 0.25


def test_a_window_includes_its_start_and_excludes_its_end():
    reading = read(*joined("ann"), event("message", "ann", "2d"))
    assert value("active_rate", reading, since="2d", until="3d").value == 1
    assert value("active_rate", reading, since="1d", until="2d").value == 0


def test_silence_is_judged_only_of_members_of_seven_days():
    reading = read(*joined("old", "talker"), *joined("new", when="4d"), event("message", "talker", "5d"), now="10d")
    found = value("silent_rate", reading)
    assert (found.numerator, found.n) == (1, 2)


def test_a_return_starts_the_seven_days_anew():
    reading = read(*joined("ann"), event("leave", "ann", "1d"), event("join", "ann", "8d"), now="10d")
    assert value("silent_rate", reading).value is None


def test_leaving_is_a_share_of_everybody_who_was_there_in_the_window():
    events = [*joined("ann", "bo", "cy"), event("leave", "bo", "2d"), event("leave", "cy", "5d")]
    found = value("leave_rate", read(*events), since="3d", until="6d")
    assert (found.numerator, found.n) == (1, 2)


def test_a_leave_without_a_known_join_is_a_loss_of_its_window_only():
    reading = read(*joined("ann"), event("leave", "ghost", "2d"))
    assert value("leave_rate", reading, since="1d", until="3d").value == 0.5
    assert value("leave_rate", reading, since="2d 1s", until="3d").value == 0
    assert value("members", reading, until="1d").value == 1


def test_moving_to_another_group_is_no_loss_of_the_whole():
    reading = read(*joined("ann"), event("join", "ann", "1d", "b"), event("leave", "ann", "1d", "a"))
    assert value("leave_rate", reading).value == 0
    assert value("leave_rate", reading, group="a").value == 1


def test_retention_waits_until_the_day_is_over():
    events = [*joined("ann"), event("message", "ann", "1d 23h"), *joined("bo", when="1d")]
    assert value("retention_d1", read(*events), until="1d 23h 59m").value is None
    assert value("retention_d1", read(*events), until="2d").value == 1
    assert value("retention_d1", read(*events), until="3d").value == 0.5


@pytest.mark.parametrize(("day", "kept"), [(1, 0), (3, 1), (7, 0)])
def test_retention_looks_at_its_own_day_alone(day, kept):
    reading = read(*joined("ann"), event("reaction", "ann", "3d 1h"))
    assert value(f"retention_d{day}", reading, since=None).value == kept


def test_who_left_stays_in_the_cohort_of_retention():
    reading = read(*joined("ann"), event("leave", "ann", "1h"))
    assert value("retention_d1", reading).value == 0


def test_stickiness_is_the_mean_of_daily_over_monthly_actives():
    """Four days, ann active on each, bo on one: daily 1, 2, 1, 1 of 2 → 5/8."""
    talk = [event("message", "ann", f"{day}d 1h") for day in range(4)]
    found = value("stickiness", read(*joined("ann", "bo"), *talk, event("message", "bo", "1d 5h"), now="4d"))
    assert found.value == pytest.approx(0.625)
    assert found.n == 4
    assert 0 < found.lower < 0.625 < found.upper <= 1


def test_stickiness_looks_back_thirty_days_at_most():
    reading = read(*joined("ann", "bo"), event("message", "bo", "1h"), event("message", "ann", "39d 1h"), now="40d")
    found = value("stickiness", reading)
    assert found.n == 30
    assert found.value == pytest.approx(1 / 30)


def test_stickiness_of_less_than_a_day_says_nothing():
    assert value("stickiness", read(*joined("ann"), event("message", "ann", "1h"), now="23h")).value is None


# Posts and talk


def test_messages_within_the_hour_answer_the_post():
    posts = [Post("p1", "announcement", "a", at("1d"), 1), Post("p2", "announcement", "a", at("2d"), 2)]
    talk = [event("message", "ann", when) for when in ("23h 59m", "1d", "1d 59m", "1d 1h", "2d 30m")]
    found = value("replies", read(*joined("ann"), *talk, posts=posts))
    assert (found.numerator, found.n, found.value) == (3, 2, 1.5)


def test_the_next_post_takes_over_the_answers():
    posts = [Post("p1", "announcement", "a", at("1d"), 1), Post("p2", "prompt", "a", at("1d 10m"))]
    reading = read(
        *joined("ann", "bo"), event("message", "ann", "1d 5m"), event("message", "bo", "1d 20m"), posts=posts
    )
    assert value("replies", reading).value == 1
    assert value("ugc_authors", reading).value == 1


def test_an_explicit_reply_answers_its_post_however_late_and_no_other():
    posts = [Post("p1", "prompt", "a", at("1d"), id="m1"), Post("p2", "announcement", "a", at("3d"), id="m2")]
    reading = read(*joined("ann"), event("message", "ann", "3d 1m", reply_to="m1"), posts=posts)
    assert value("ugc_authors", reading).value == 1
    assert value("replies", reading, since="2d").value == 0


def test_posts_of_one_group_are_not_answered_in_another():
    reading = read(
        *joined("ann", group="b"), event("message", "ann", "1d 1m", "b"), posts=[Post("p", "prompt", "a", at("1d"))]
    )
    assert value("ugc_authors", reading).value == 0


def test_a_post_that_can_still_be_answered_does_not_pull_the_mean_down():
    posts = [Post("p1", "announcement", "a", at("1d"), 1), Post("p2", "announcement", "a", at("2d"), 2)]
    reading = read(*joined("ann"), event("message", "ann", "1d 1m"), posts=posts)
    assert value("replies", reading, until="2d 59m").value == 1
    assert value("replies", reading, until="2d 60m").value == 0.5


def test_a_post_that_the_next_one_closed_is_measured_at_once():
    posts = [Post("p1", "announcement", "a", at("1d"), 1), Post("p2", "announcement", "a", at("1d 10m"), 2)]
    found = value("replies", read(*joined("ann"), event("message", "ann", "1d 5m"), posts=posts), until="1d 20m")
    assert (found.value, found.n) == (1, 1)


def test_an_author_who_left_is_no_longer_an_author():
    events = [*joined("ann", "bo"), event("message", "ann", "1d 1m"), event("message", "bo", "1d 2m")]
    reading = read(*events, event("leave", "ann", "2d"), posts=[Post("p", "prompt", "a", at("1d"))])
    assert value("ugc_authors", reading, until="2d").value == 2
    assert value("ugc_authors", reading).value == 1


def test_messages_per_member_is_a_mean_over_all_members():
    reading = read(*joined("ann", "bo", "cy", "di"), *[event("message", "ann", f"{h}h") for h in range(1, 7)])
    found = value("messages_per_member", reading)
    assert (found.value, found.n, found.numerator) == (1.5, 4, 6)


def test_value_posts_ask_only_the_members_who_were_there():
    posts = [Post("v1", "value", "a", at("1d")), Post("v2", "value", "a", at("3d"))]
    events = [
        *joined("ann"),
        *joined("bo", when="2d"),
        event("message", "bo", "3d 1m"),
        event("message", "bo", "3d 2m"),
    ]
    found = value("value_reply_rate", read(*events, posts=posts))
    assert (found.numerator, found.n) == (1, 3)


def test_the_operators_voice_is_their_messages_and_posts_among_all():
    posts = [Post("p", "announcement", "a", at("1d"), 1)]
    events = [
        *joined("ann"),
        event("message", "ann", "1h"),
        event("message", "host", "2h"),
        event("message", "bot", "3h"),
    ]
    assert value("share_of_voice", read(*events, posts=posts)).value == 0.75


def test_a_post_that_the_export_holds_too_is_one_message():
    posts = [Post("p", "announcement", "a", at("1d"), 1, id="m1")]
    reading = read(event("message", "ann", "1h"), event("message", "bot", "1d", key="m1"), posts=posts)
    assert value("share_of_voice", reading).value == 0.5


# Sales


def test_orders_and_waitlist_belong_to_the_person_wherever_recorded():
    events = [*joined("ann", "bo"), *joined("ann", group="b"), event("order", "ann", "1d", "shop")]
    reading = read(*events, event("order", "ann", "2d", "shop"), event("waitlist", "bo", "1d", "b"))
    assert value("conversion", reading).value == pytest.approx(1 / 2)
    assert value("conversion", reading, group="b").value == pytest.approx(1 / 2)
    assert value("waitlist", reading).value == 1
    assert value("waitlist_rate", reading, group="a").value == 0.5


def test_an_order_of_somebody_who_was_never_there_is_no_conversion():
    assert value("conversion", read(*joined("ann"), event("order", "eve", "1d", "shop"))).value == 0


# Segments


def segment(reading, when="10d", groups=None, **conditions):
    return in_segment(reading, Segment(**conditions), at=at(when), groups=groups)


def test_the_silent_are_found_group_by_group():
    reading = read(*joined("ann", "bo"), *joined("ann", group="b"), event("message", "ann", "9d", "b"))
    assert segment(reading, silent_for="7d") == {("a", "ann"), ("a", "bo")}
    assert segment(reading, silent_for="7d", groups=["b"]) == set()


def test_newcomers_are_not_silent_yet():
    assert segment(read(*joined("ann", when="5d")), silent_for="7d") == set()


def test_every_condition_of_a_segment_must_hold():
    reading = read(
        *joined("ann", "bo", "host"),
        event("message", "ann", "9d"),
        event("message", "bo", "9d"),
        event("order", "bo", "9d"),
    )
    assert segment(reading, active_within="2d") == {("a", "ann"), ("a", "bo")}
    assert segment(reading, active_within="2d", ordered=False) == {("a", "ann")}
    assert segment(reading, active_within="2d", waitlisted=True) == set()


def test_who_left_is_in_no_segment_and_who_came_back_joined_recently():
    events = [*joined("ann", "bo"), event("leave", "ann", "2d"), event("leave", "bo", "2d"), event("join", "bo", "9d")]
    assert segment(read(*events), joined_within="3d") == {("a", "bo")}


def test_a_segment_knows_nothing_of_later_orders():
    reading = read(*joined("ann"), event("order", "ann", "11d"))
    assert segment(reading, when="10d", ordered=False) == {("a", "ann")}
    assert segment(reading, when="12d", ordered=False) == set()


def test_a_metric_may_be_asked_of_a_segment_alone():
    reading = read(*joined("ann", "bo"), event("waitlist", "ann", "1d"), event("order", "ann", "2d"))
    chosen = in_segment(reading, Segment(waitlisted=True), at=reading.now)
    assert (value("conversion", reading, members=chosen).value, value("conversion", reading).value) == (1, 0.5)


# Every metric

moments = st.integers(0, 12 * 24 * 4).map(lambda quarter: START + timedelta(minutes=15) * quarter)
KINDS = ["message", "reaction", "join", "leave", "read", "click", "waitlist", "order"]
groups = st.sampled_from(["a", "b", "elsewhere"])


def events_of(*members):
    return st.lists(
        st.builds(
            event,
            st.sampled_from(KINDS),
            st.sampled_from(members),
            moments,
            groups,
            st.sampled_from([None, "m1", "m2"]),
        ),
        max_size=40,
    )


posts = st.lists(
    st.builds(
        Post,
        st.sampled_from(["p", "q"]),
        st.sampled_from(["value", "prompt", "link"]),
        groups,
        moments,
        st.none(),
        st.sampled_from([None, "m1"]),
    ),
    max_size=5,
)


def everything(reading, until=None, skip=()):
    window = {"since": at("1d"), "until": until or reading.now}
    return {
        (name, group): measure(name, reading, group=group, **window)
        for name in METRICS
        if name not in skip
        for group in (None, "a")
    }


@settings(max_examples=60, deadline=None)
@given(events_of("ann", "bo", "cy"), events_of("host", "bot"), posts)
def test_staff_and_bots_change_no_metric_but_share_of_voice(members, staff, posts):
    without, with_staff = read(*members, posts=posts), read(*members, *staff, posts=posts)
    skip = ("share_of_voice",)
    assert everything(with_staff, skip=skip) == everything(without, skip=skip)


@settings(max_examples=60, deadline=None)
@given(events_of("ann", "bo", "host"), posts)
def test_nothing_after_the_window_counts(events, posts):
    until = at("6d")
    past = [event for event in events if event.at < until]
    known = [post for post in posts if post.at < until]
    assert everything(read(*events, posts=posts), until) == everything(read(*past, posts=known), until)


@settings(max_examples=60, deadline=None)
@given(events_of("ann", "bo", "cy"), posts, st.randoms())
def test_the_order_of_events_in_the_input_is_irrelevant(events, posts, random):
    distinct = list({event.at: event for event in events}.values())
    shuffled = random.sample(distinct, len(distinct))
    assert everything(read(*shuffled, posts=posts)) == everything(read(*distinct, posts=posts))


@settings(max_examples=60, deadline=None)
@given(events_of("ann", "bo", "cy", "host"), posts)
def test_every_interval_holds_its_value_and_shares_stay_shares(events, posts):
    for (name, _), found in everything(read(*events, posts=posts)).items():
        if found.value is None:
            assert (found.lower, found.upper, found.n) == (None, None, 0)
        elif found.lower is not None:
            assert found.lower <= found.value + 1e-12
            assert found.upper >= found.value - 1e-12
            if METRICS[name].unit == "share":
                assert found.lower >= 0
                assert found.upper <= 1


@settings(max_examples=60, deadline=None)
@given(events_of("ann", "bo", "cy"), moments)
def test_membership_agrees_with_replaying_the_events_one_by_one(events, until):
    here, gone = set(), set()
    for event in sorted(events, key=lambda event: event.at):
        seat = (event.group, event.member)
        if event.at >= until or event.group == "elsewhere":
            continue
        if event.kind == "leave":
            here.discard(seat)
            gone.add(seat)
        elif seat not in gone or event.kind in ("join", "message"):
            here.add(seat)
    found = measure("members", read(*events), since=None, until=until)
    assert found.value == len({member for _, member in here})


def test_an_empty_community_gives_no_rate_a_value():
    for (name, _), found in everything(read()).items():
        assert found.value == (0 if METRICS[name].unit == "people" else None), name
        assert not found.numerator


def test_asking_beyond_what_is_known_is_refused():
    with pytest.raises(ValueError, match="the reading ends at"):
        value("members", read(now="1d"), until="2d")


def test_an_unknown_metric_is_a_key_error():
    with pytest.raises(KeyError):
        value("membrs", read())


def test_every_metric_says_what_it_is_in_one_sentence():
    for metric in METRICS.values():
        assert metric.description.endswith(".")
        assert metric.compute.__doc__ or metric.name.startswith("retention")


def test_what_grows_through_the_launch_looks_back_to_its_beginning():
    assert {name for name, metric in METRICS.items() if metric.default_since(START) is None} >= {
        "conversion",
        "waitlist",
    }
    assert METRICS["active_rate"].default_since(START) == START


def test_a_stored_value_has_stable_fields_and_six_places():
    found = value("active_rate", read(*joined("ann", "bo", "cy"), event("message", "ann", "1h"))).as_dict()
    assert list(found) == ["metric", "value", "lower", "upper", "n", "numerator", "unit", "method"]
    assert found["value"] == 0.333333


def test_every_report_can_say_whom_it_leaves_out():
    people = (*STAFF, Person("second", is_staff=True, is_bot=True), Person("ann"))
    found = integrity(
        read(*joined("ann", "host"), event("message", "bot", "1h"), event("message", "bot", "40d"), people=people)
    )
    assert (found.staff_excluded, found.bots_excluded, found.events_excluded) == (1, 2, 2)
    assert found.sentence() == "Staff (1) and bots (2) are outside every number: 2 events left out."
