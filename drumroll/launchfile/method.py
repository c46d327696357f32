"""What the method asks a launch to declare: is the product fit for it, who speaks and how, when nobody is disturbed."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool
from pydantic.config import JsonDict

from drumroll.launchfile.fields import AS_CLOCK, AS_MOMENT, Number, Part, Text, countable, parse_number

Pull = Literal["outer", "inner"]
PullPhase = Literal["recruit", "build_up", "nurture", "ignite", "aftercare"]
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f'"{text}" is not a time of day; write it like "23:30"')
    return text


def minutes_of(clock: str) -> int:
    """`"23:30"` → 1410, minutes since midnight."""
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


Clock = Annotated[str, AfterValidator(_clock)]


class MomentValue(Part):
    """A point in time as a fact or a var: it moves with the opening, and templates say it through a filter."""

    at: str = Field(description="The point in time.", min_length=1, json_schema_extra=AS_MOMENT)


class QuietHours(Part):
    """The local hours in which nothing is sent; when they start later than they end, midnight lies in them."""

    starts: Clock = Field(default="23:30", description="First quiet minute.", json_schema_extra=AS_CLOCK)
    ends: Clock = Field(
        default="08:00", description="First minute that is not quiet any more.", json_schema_extra=AS_CLOCK
    )

    def holds(self, minute: int) -> bool:
        """Whether a minute since local midnight lies in them."""
        starts, ends = minutes_of(self.starts), minutes_of(self.ends)
        return starts <= minute < ends if starts <= ends else minute >= starts or minute < ends


class Persona(Part):
    """Who speaks, and which of the two pulls leads when (人設). They complement each other.

    The outer pull is what the product does (`product.promise`), the inner pull what becomes of the member
    (`product.result`). A text is taken to carry a pull when it says that sentence or one of its words here.
    """

    voice: Text = Field(description="Who speaks and how, in a sentence that writers keep beside them.")
    outer: tuple[Text, ...] = Field(default=(), description="Words by which a text carries the outer pull.")
    inner: tuple[Text, ...] = Field(default=(), description="Words by which a text carries the inner pull.")
    leads: dict[PullPhase, Pull] = Field(min_length=1, description="Which pull leads in each phase: outer or inner.")


_LEAST_SHARE = 1e-6  # printed shares are rounded there


def _share(value: Any) -> Any:
    """A part of a whole; who forgets the percent sign is told so."""
    number = parse_number(value)
    if not isinstance(number, int | float) or _LEAST_SHARE <= number <= 1:
        return number
    if not isinstance(value, str) and 1 < number <= 100:
        raise ValueError(f"{value} is more than the whole; write {value}% if that is meant")
    raise ValueError(f"{value} is no share between 0.0001% and 100%; write one like 3%")


_AS_SHARE: JsonDict = {"minimum": _LEAST_SHARE, "maximum": 1, "examples": ["3%", 0.03]}
Share = Annotated[Number, BeforeValidator(_share), Field(json_schema_extra=_AS_SHARE)]


class Economics(Part):
    """What the launch is expected to bring and to cost, in the product's currency."""

    conversion: Share = Field(description="Share of members expected to buy, like 3%.")
    margin: Share = Field(description="Share of the price left after making and delivering one, like 40%.")
    team_cost: Annotated[Decimal, Field(ge=0), AfterValidator(countable)] = Field(
        description="What the team costs for the whole launch."
    )
    fill: Share = Field(default=1.0, description="How full the groups are expected to be, like 70%.")


class Override(Part):
    """Somebody's word that the launch goes ahead although the fit check refuses it; kept on record."""

    by: Text = Field(description="Who takes it on: a name from team.staff.")
    reason: Text = Field(description="Why, in a sentence the team can read again afterwards.")


class Fit(Part):
    """Is this product fit for a community launch? `false` says that a condition does not hold."""

    needs_selling: Text | Literal[False] = Field(
        description="Why buyers need it explained and compared before they can decide; false when they do not."
    )
    buyers: tuple[Text, ...] = Field(
        min_length=1, description="The few classes its buyers fall into, so that one script serves many."
    )
    impulse: Text | Literal[False] = Field(
        description="The need that is felt and the benefit that answers it; false when nothing hurries anyone."
    )
    decision: Literal["days", "weeks", "months"] = Field(
        description="How long buyers take to decide. Months (a flat, a car) need one-to-one service."
    )
    same_batch: StrictBool = Field(default=True, description="Members come in one batch and hear the same story.")
    economics: Economics | None = None
    override: Override | None = None
