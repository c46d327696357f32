"""All rules of suspense, in the order in which they are read and printed."""

from drumroll.suspense import numbering, revealing, size, teasing
from drumroll.suspense.rule import Rule

RULES: dict[str, Rule] = {rule.id: rule for module in (numbering, teasing, revealing, size) for rule in module.RULES}
