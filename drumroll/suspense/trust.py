"""The order link: behind the trust gate, and never in a welcome (brief Q7)."""

from drumroll.suspense.rule import Rule

RULES: tuple[Rule, ...] = ()
