"""What `drumroll check` prints of the fit check: the verdict, each condition, the economics."""

from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from drumroll.fit import Condition, FitVerdict, UnitEconomics, break_even, money, percent

_MARKS = {True: "yes", False: "no", None: "?"}


def fit_lines(verdict: FitVerdict | None) -> Iterator[str]:
    """The verdict in a line, then a line for each condition and for each step from members to break-even.

    Nothing where nothing is sold.
    """
    if verdict is None:
        return
    yield f"fit for a community launch: {_said(verdict)}"
    if any(condition.ok is not None for condition in verdict.conditions):
        yield from (
            _row(_name(condition), f"{_MARKS[condition.ok]:<5}{condition.reason}") for condition in verdict.conditions
        )
    if verdict.economics is not None:
        yield from (_row(name, said) for name, said in _economics(verdict.economics))


def fit_as_json(verdict: FitVerdict | None) -> dict[str, Any] | None:
    """The same for machines: money in units of the currency, shares of 1; null where nothing is sold."""
    if verdict is None:
        return None
    return {
        "verdict": verdict.verdict,
        "override": verdict.override.model_dump() if verdict.override else None,
        "conditions": [asdict(condition) for condition in verdict.conditions],
        "economics": _economics_as_json(verdict.economics) if verdict.economics else None,
    }


def _said(verdict: FitVerdict) -> str:
    if verdict.overridden:
        return f"no, overridden by {verdict.overridden.by}: {' '.join(verdict.overridden.reason.split())}"
    return {"fit": "yes", "refused": "no", "unanswered": "not answered"}[verdict.verdict]


def _name(condition: Condition) -> str:
    return condition.name.replace("_", " ")


def _row(name: str, said: str) -> str:
    return f"  {name:<14} {said}"


def _economics(economics: UnitEconomics) -> Iterator[tuple[str, str]]:
    def about(amount: Fraction) -> str:
        return f"about {money(amount, economics.currency)}"

    yield "members", f"about {_number(economics.members):,} ({percent(economics.fill)} of {economics.places:,} places)"
    yield "buyers", f"about {_number(economics.buyers):,} ({percent(economics.conversion)} of the members)"
    yield "revenue", f"{about(economics.revenue)} (at {money(economics.price, economics.currency)})"
    yield "contribution", f"{about(economics.contribution)} ({percent(economics.margin)} of the revenue)"
    yield "team cost", money(economics.team_cost, economics.currency)
    yield "surplus", about(economics.surplus)
    yield "breaks even", break_even(economics)


def _economics_as_json(economics: UnitEconomics) -> dict[str, Any]:
    needed = economics.break_even_conversion
    return {
        "members": _number(economics.members),
        "conversion": _number(economics.conversion, 6),
        "buyers": _number(economics.buyers),
        "price": _number(economics.price, 4),
        "margin": _number(economics.margin, 6),
        "revenue": _number(economics.revenue),
        "contribution": _number(economics.contribution),
        "team_cost": _number(economics.team_cost, 4),
        "surplus": _number(economics.surplus),
        "break_even_conversion": None if needed is None else _number(needed, 6),
        "break_even_members": economics.break_even_members,
        "currency": economics.currency,
    }


def _number(exact: Fraction, places: int = 2) -> int | float:
    rounded = round(exact, places)
    return rounded.numerator if rounded.denominator == 1 else float(rounded)
