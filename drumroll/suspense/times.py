"""Times in a text come from the plan, so that a shift or a late message says them right."""

from drumroll.suspense.rule import Rule

RULES: tuple[Rule, ...] = ()
