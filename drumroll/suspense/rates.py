"""Platform rates and daily caps must be able to carry the schedule."""

from drumroll.suspense.rule import Rule

RULES: tuple[Rule, ...] = ()
