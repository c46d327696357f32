"""All rules of suspense, in the order in which they are read and printed."""

from drumroll.suspense import (
    carrying,
    numbering,
    persona,
    promises,
    quiet,
    rates,
    revealing,
    rhythm,
    size,
    teasing,
    times,
    trust,
    voice,
    work,
)
from drumroll.suspense.rule import Rule

_MODULES = (
    numbering,
    teasing,
    revealing,
    trust,
    promises,
    persona,
    voice,
    rhythm,
    quiet,
    times,
    size,
    carrying,
    rates,
    work,
)
RULES: dict[str, Rule] = {rule.id: rule for module in _MODULES for rule in module.RULES}
