"""Quiet hours: nothing is sent while people sleep."""

from drumroll.suspense.rule import Rule

RULES: tuple[Rule, ...] = ()
