"""How an invented community behaves. Every number here is made up for rehearsing; none is a forecast.

The defaults make a friendly, fairly typical group: enough life for a healthy launch file to pass its gates with 300
members, so that a rehearsal shows the launch and not one held gate. Replace them by a team's own history where there
is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from drumroll.launchfile.models import StepKind


@dataclass(frozen=True, slots=True)
class Pull:
    """How strongly one kind of post pulls: rates per post for a member of strength 1.

    Each becomes a probability 1 - exp(-rate·strength). Answering and reacting need reading first.
    """

    read: float
    answer: float
    react: float


PULLS: Mapping[StepKind, Pull] = MappingProxyType(
    {
        "welcome": Pull(read=1.6, answer=0.10, react=0.16),
        "announcement": Pull(read=1.1, answer=0.05, react=0.10),
        "heads_up": Pull(read=0.9, answer=0.03, react=0.08),
        "countdown": Pull(read=1.2, answer=0.03, react=0.09),
        "link": Pull(read=1.6, answer=0.06, react=0.10),
        "value": Pull(read=1.0, answer=0.06, react=0.14),
        "prompt": Pull(read=1.2, answer=0.36, react=0.10),
        "thanks": Pull(read=1.1, answer=0.10, react=0.25),
    }
)

# Share of the busiest hour, from 00:00 local.
_NIGHT = (0.02, 0.01, 0.0, 0.0, 0.0, 0.0, 0.05, 0.35)
_DAY = (0.5, 0.45, 0.5, 0.55, 0.85, 0.6, 0.45, 0.45)
_EVENING = (0.5, 0.6, 0.7, 0.8, 1.0, 1.0, 0.9, 0.5)
_HOURS = (*_NIGHT, *_DAY, *_EVENING)


@dataclass(frozen=True, slots=True)
class Temper:
    """The parameters of a synthetic community: invented for rehearsal, not a forecast.

    Strengths are log-normal with mean 1, so that there are a few core fans and many lurkers.
    """

    # Who they are.
    spread: float = 1.1  # standard deviation of the logarithm of both strengths below
    alike: float = 0.45  # correlation of wanting the product with talking much, between their logarithms
    reading: float = 0.4  # reading goes with talkativeness to this power: silent members read, too

    # Arriving, during the first phase and after it.
    early: float = 0.87  # share who join before the first phase's gate
    rush: float = 1.5  # 1: evenly over the first phase; more: towards its beginning
    late: float = 0.2  # mean delay of latecomers as a share of the launch that is left

    # Everyday life.
    hours: tuple[float, ...] = _HOURS
    wakes: int = 7  # local hour; what falls between midnight and it waits for the morning
    night_owls: float = 0.03  # share of night-time acts that do not wait
    chat: float = 0.12  # messages and reactions of one's own accord per day, at strength 1
    novelty: float = 2.0  # a newcomer's chat is this many times more, fading…
    novelty_days: float = 3.0  # …with this half-life
    chat_reacts: float = 0.4  # share of them that are reactions

    # Answering a post.
    pulls: Mapping[StepKind, Pull] = field(default_factory=lambda: PULLS)
    read_after: timedelta = timedelta(minutes=11)  # median, log-normal
    read_spread: float = 1.1
    answer_after: timedelta = timedelta(minutes=4)  # median after reading
    answer_spread: float = 1.0
    quotes: float = 0.3  # share of answers that name the post they answer
    staff_answers: float = 0.35  # probability that a staff member writes after a prompt…
    staff_talks: float = 0.07  # …and after any other post

    # Leaving: rate per post read at strength 1; talkative members leave less.
    leave: float = 0.0009
    patience: int = 2  # broadcasts in a row, without a prompt, that nobody minds
    fatigue: float = 0.8  # each one more adds this share of the rate

    # Buying: rates for a member who wants the product with strength 1.
    waitlist: float = 0.10  # per announcement or heads-up read during nurture and before the link
    waitlist_lift: float = 2.2  # who is on the waitlist wants it this many times more
    click: float = 0.5  # on reading the link, or a countdown after it
    order: float = 0.22  # on reading the link
    order_after: timedelta = timedelta(hours=3)  # median after reading the link
    order_spread: float = 1.0
    last_call: float = 0.05  # orders on reading a countdown after the link, within minutes
