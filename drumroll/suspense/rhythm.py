"""Rhythm: it tightens from phase to phase, and no stretch sags (brief Q9)."""

from drumroll.suspense.rule import Rule

RULES: tuple[Rule, ...] = ()
