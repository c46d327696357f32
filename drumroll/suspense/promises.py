"""Steady value: every value post keeps a promise that the welcome made (brief V2)."""

from drumroll.suspense.rule import Rule

RULES: tuple[Rule, ...] = ()
