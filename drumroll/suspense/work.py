"""What people post by hand must fit into their hours."""

from drumroll.suspense.rule import Rule

RULES: tuple[Rule, ...] = ()
