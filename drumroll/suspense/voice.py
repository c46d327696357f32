"""The operators' share of voice: no long run of broadcasts without a question (brief U5), no stock phrases."""

from drumroll.suspense.rule import Rule

RULES: tuple[Rule, ...] = ()
