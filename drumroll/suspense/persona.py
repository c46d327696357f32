"""The persona: which pull leads in each phase, and whether the texts carry it (brief V3)."""

from drumroll.suspense.rule import Rule

RULES: tuple[Rule, ...] = ()
