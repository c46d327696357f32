"""Holds a launch against every rule; a waived rule leaves its findings on record with the launch's reason."""

from drumroll.launchfile.load import Findings, did_you_mean
from drumroll.launchfile.models import Launch
from drumroll.suspense.registry import RULES
from drumroll.suspense.rule import Subject

_ONLY_BY_NAME = "only somebody of the team takes that on: `fit.override: {by: NAME, reason: WHY}`"


def known_waivers(launch: Launch, findings: Findings) -> None:
    """Report every waiver of something that is no rule of suspense."""
    for name in launch.waive:
        if name not in RULES:
            what = f'"{name}" is no rule that can be waived'
            remedy = _ONLY_BY_NAME if name.startswith("fit/") else did_you_mean(name, RULES)
            findings.add("waive/unknown", ("waive", name), what, remedy)


def judge_launch(subject: Subject, findings: Findings) -> None:
    """Add what the rules find. A waiver that nothing needs is a warning: it would hide the next finding."""
    for rule in RULES.values():
        reason, broken = subject.launch.waive.get(rule.id), False
        for breach in rule.check(subject):
            broken = True
            if reason is None:
                findings.add(rule.id, breach.path, breach.what, breach.remedy, severity=rule.severity)
            else:
                findings.add(rule.id, breach.path, f"{breach.what} (waived: {reason})", severity="waived")
        if reason is not None and not broken:
            what = f"nothing breaks {rule.id}, so nothing needs this waiver"
            findings.add("waive/unused", ("waive", rule.id), what, "remove it", severity="warning")
