"""Is this product fit for a community launch? Four conditions and the unit economics, as a verdict (brief F1-F3)."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Literal

from drumroll.launchfile.load import Findings, did_you_mean
from drumroll.launchfile.method import Economics, Fit, Override
from drumroll.launchfile.models import Launch

MOST_CLASSES = 5  # more classes of buyers than that are not served by one script
CONDITIONS = ("needs_selling", "universal", "impulse", "price", "decision", "same_batch")
SHORTEST = (
    "fit: {needs_selling: why it must be explained, buyers: [who buys it], impulse: what hurries them, "
    "decision: days, economics: {conversion: 3%, margin: 40%, team_cost: 1000}}"
)
STARTER_RATES = "vendors speak of 3-8% for courses, 5-10% for premium beauty, under 1% where nobody tends the crowd"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: `ok` is None while the launch does not answer it; `reason` is for a person."""

    name: str
    ok: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class UnitEconomics:
    """What a launch is expected to bring and to cost, exactly (money in `currency`, shares of 1; brief F2).

        members      = places in the conversion groups × fill
        buyers       = members × conversion
        revenue      = buyers × price
        contribution = revenue × margin
        surplus      = contribution − team cost

    It breaks even where the contribution is the team's cost: at the conversion cost / (members × price × margin), or
    with cost / (conversion × price × margin) members, rounded up.
    """

    places: int
    fill: Fraction
    conversion: Fraction
    price: Fraction
    margin: Fraction
    team_cost: Fraction
    currency: str

    @property
    def members(self) -> Fraction:
        """Members expected in the conversion groups."""
        return self.places * self.fill

    @property
    def buyers(self) -> Fraction:
        """Members expected to buy."""
        return self.members * self.conversion

    @property
    def revenue(self) -> Fraction:
        """What buyers pay."""
        return self.buyers * self.price

    @property
    def contribution(self) -> Fraction:
        """What is left of it after making and delivering the product."""
        return self.revenue * self.margin

    @property
    def surplus(self) -> Fraction:
        """What is left after the team; negative when the launch does not carry it."""
        return self.contribution - self.team_cost

    @property
    def break_even_conversion(self) -> Fraction | None:
        """The conversion that just carries the team, above 1 when none does; None without members."""
        return self.team_cost / (self.members * self.price * self.margin) if self.members else None

    @property
    def break_even_members(self) -> int:
        """How many members just carry the team at the expected conversion."""
        return ceil(self.team_cost / (self.conversion * self.price * self.margin))


@dataclass(frozen=True, slots=True)
class FitVerdict:
    """Every condition, in the order of `CONDITIONS`, and the economics where they were given.

    `override` is the word of somebody in `team.staff`, needed or not.
    """

    conditions: tuple[Condition, ...]
    economics: UnitEconomics | None
    override: Override | None

    @property
    def verdict(self) -> Literal["fit", "refused", "unanswered"]:
        """Refused by one condition; fit by all of them. An override does not make a launch fit."""
        answers = {condition.ok for condition in self.conditions}
        return "refused" if False in answers else "unanswered" if None in answers else "fit"

    @property
    def overridden(self) -> Override | None:
        """The override, when it is what lets a refused launch start."""
        return self.override if self.verdict == "refused" else None


def judge_fit(launch: Launch) -> FitVerdict | None:
    """Hold a launch against the conditions; None where the product has no price: nothing is sold."""
    if launch.product.price is None:
        return None
    if launch.fit is None:
        return FitVerdict(tuple(Condition(name, None, "not answered") for name in CONDITIONS), None, None)
    override = launch.fit.override if launch.fit.override and launch.fit.override.by in _people(launch) else None
    economics = unit_economics(launch, launch.fit.economics) if launch.fit.economics else None
    return FitVerdict(tuple(_conditions(launch.fit, economics)), economics, override)


def unit_economics(launch: Launch, given: Economics) -> UnitEconomics:
    """The unit economics of a launch that sells something, from what its file expects."""
    assert launch.product.price is not None
    assert launch.product.currency is not None
    return UnitEconomics(
        places=sum(group.cap for group in launch.community.groups if group.kind == "conversion"),
        fill=_exact(given.fill),
        conversion=_exact(given.conversion),
        price=Fraction(launch.product.price),
        margin=_exact(given.margin),
        team_cost=Fraction(given.team_cost),
        currency=launch.product.currency,
    )


def _exact(share: float) -> Fraction:
    """The share as written: `1.1%` is read as 0.011000000000000001."""
    return Fraction(f"{share:.12g}")


def _conditions(fit: Fit, economics: UnitEconomics | None) -> list[Condition]:
    classes = tuple(dict.fromkeys(fit.buyers))
    few = len(classes) <= MOST_CLASSES
    said = f"{_count(len(classes), 'class', 'classes')} of buyers"
    answers = {
        "needs_selling": (bool(fit.needs_selling), fit.needs_selling or "buyers need nothing explained or compared"),
        "universal": (few, f"{said}: {', '.join(classes)}" if few else f"{said}, which one script does not serve"),
        "impulse": (bool(fit.impulse), fit.impulse or "nothing makes anyone want it now"),
        "price": _price(economics),
        "decision": (
            fit.decision != "months",
            f"buyers decide in {fit.decision}"
            if fit.decision != "months"
            else "buyers take months to decide, as for a flat or a car, and need one-to-one service",
        ),
        "same_batch": (
            fit.same_batch,
            "members come in one batch and hear the same story"
            if fit.same_batch
            else "members come at different times, and one story told in order does not reach them",
        ),
    }
    return [Condition(name, answers[name][0], " ".join(answers[name][1].split())) for name in CONDITIONS]


def _price(economics: UnitEconomics | None) -> tuple[bool | None, str]:
    """The price is high enough when what buyers leave carries the team (brief F1: no tick box)."""
    if economics is None:
        return None, "not answered: it follows from `economics`"
    if not economics.team_cost:
        return False, "a team that costs nothing is no team, and any price would carry it"
    if not economics.places:
        return False, "no group is there for members before they pay, so nobody buys"
    left, cost = (money(amount, economics.currency) for amount in (economics.contribution, economics.team_cost))
    carries = economics.surplus >= 0
    return carries, f"what buyers leave, about {left}, {'carries' if carries else 'does not carry'} the team's {cost}"


def check_fit(launch: Launch, findings: Findings) -> FitVerdict | None:
    """Judge a launch, and add what refuses it or is still unanswered. No waiver helps, only an override by name."""
    verdict = judge_fit(launch)
    if verdict is None:
        return None
    _unanswered(launch, verdict, findings)
    override = verdict.overridden
    for condition in verdict.conditions:
        if condition.ok is not False:
            continue
        path, what = ("fit", _KEYS.get(condition.name, condition.name)), f"not fit: {condition.reason}"
        if override:
            findings.add(
                "fit/refused", path, f"{what} (overridden by {override.by}: {override.reason})", severity="waived"
            )
        else:
            findings.add("fit/refused", path, what, f"{_REMEDIES[condition.name](verdict)}, or {_SIGN}")
    if launch.fit and launch.fit.override:
        _check_override(launch, launch.fit.override, verdict, findings)
    return verdict


def _unanswered(launch: Launch, verdict: FitVerdict, findings: Findings) -> None:
    if launch.fit is None:
        what = "nothing says whether this product is fit for a community launch"
        findings.add("fit/unanswered", ("product",), what, f"write {SHORTEST} ({STARTER_RATES})", severity="warning")
    elif verdict.economics is None:
        what = "nothing says whether the price carries the team"
        block = SHORTEST[SHORTEST.index("economics") : -1]
        findings.add("fit/unanswered", ("fit",), what, f"add {block} ({STARTER_RATES})", severity="warning")


def _check_override(launch: Launch, given: Override, verdict: FitVerdict, findings: Findings) -> None:
    if given.by not in _people(launch):
        what = f'"{given.by}" is nobody of team.staff who can answer for it'
        findings.add("fit/override", ("fit", "override", "by"), what, did_you_mean(given.by, _people(launch)))
    elif verdict.overridden is None:
        what = "nothing is refused, so nothing needs this override"
        findings.add("fit/override", ("fit", "override"), what, "remove it", severity="warning")


def _people(launch: Launch) -> list[str]:
    return [person.name for person in launch.team.staff if person.role != "bot"]


_SIGN = "let somebody of the team take it on: `fit.override: {by: NAME, reason: WHY}`"
_KEYS = {"universal": "buyers", "price": "economics"}
_REMEDIES: dict[str, Callable[[FitVerdict], str]] = {
    "needs_selling": lambda _: "sell it where people already look for it",
    "universal": lambda _: f"name the {MOST_CLASSES} classes at most that this launch is for",
    "impulse": lambda _: "name the need and the benefit that answers it now",
    "price": lambda verdict: _how_it_breaks_even(verdict.economics),
    "decision": lambda _: "sell it person to person",
    "same_batch": lambda _: "gather a batch first and open for all of it at once",
}


def _how_it_breaks_even(economics: UnitEconomics | None) -> str:
    assert economics is not None
    if not economics.team_cost:
        return "write what the team costs, hours that nobody is paid for as well"
    if not economics.places:
        return "add a group of kind conversion"
    return f"it breaks even {break_even(economics)}: raise price, margin or seats, lower the cost"


def break_even(economics: UnitEconomics) -> str:
    """Where the launch breaks even, in words: `at a conversion of about 1.97%, or with 210 members`."""
    members = f"with {_count(economics.break_even_members, 'member', 'members')} (the groups hold {economics.places:,})"
    needed = economics.break_even_conversion
    if needed is None or needed > 1:
        return f"at no conversion, only {members}"
    upwards = Fraction(ceil(needed * 10_000), 10_000)  # the next hundredth of a percent that really carries the team
    return f"at a conversion of about {percent(upwards)}, or {members}"


def money(amount: Fraction, currency: str) -> str:
    """`TWD 3,980`, `USD 12.50`: cents only where there are any."""
    cents = round(amount, 2)
    return f"{currency} {cents.numerator:,}" if cents.denominator == 1 else f"{currency} {_decimal(cents):,.2f}"


def percent(share: Fraction) -> str:
    """`3%`, `1.97%`."""
    return f"{float(share * 100):.6g}%"


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
