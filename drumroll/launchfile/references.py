"""Names that point at other names: groups, channels, segments, metrics, facts, step ids."""

import re
from collections.abc import Collection

from pydantic import ValidationError

from drumroll.capability import Capability
from drumroll.channels.registry import KINDS as CHANNEL_KINDS
from drumroll.channels.registry import capability_for, channel_class, parse_options
from drumroll.launchfile.community import Community, StaffGroup
from drumroll.launchfile.currency import currency_remedy
from drumroll.launchfile.load import Findings, did_you_mean, report_invalid
from drumroll.launchfile.models import Gate, Launch, Phase, Threshold
from drumroll.launchfile.strict import Path, may_be_secret
from drumroll.metrics.registry import METRICS
from drumroll.sources.registry import SOURCES

_PLAIN_WORD = re.compile("[a-z]{1,30}")  # nobody's secret


def check_references(launch: Launch, findings: Findings) -> dict[str, Capability]:
    """Report every name that nothing declares; returns the capability of each channel that is sound."""
    _currency(launch, findings)
    capabilities = _channels(launch, findings)
    _groups(launch, findings)
    _sources(launch, findings)
    seen: dict[str, str] = {}
    for name, phase in launch.phases.items():
        _steps(launch, phase, ("phases", name), findings, seen)
        if phase.gate is not None:
            _gate(launch, phase.gate, ("phases", name, "gate"), findings, seen)
    return capabilities


def _known(word: str, known: Collection[str], noun: str, path: Path, findings: Findings) -> bool:
    if word in known:
        return True
    hidden = may_be_secret(path) and not _PLAIN_WORD.fullmatch(word)
    what = f"unknown {noun} (not shown: it may be a secret)" if hidden else f'unknown {noun} "{word}"'
    findings.add(f"name/{noun.replace(' ', '-')}", path, what, did_you_mean(word, known))
    return False


def _known_groups(launch: Launch, to: tuple[str, ...] | None, path: Path, findings: Findings) -> None:
    known = dict.fromkeys(launch.group_ids()) if to else {}
    for position, group in enumerate(to or ()):
        place = (*path, "to", position)
        if _known(group, known, "group", place, findings) and group in (to or ())[:position]:
            findings.add("name/duplicate", place, f'the group "{group}" is named twice', "remove one")


def _currency(launch: Launch, findings: Findings) -> None:
    currency = launch.product.currency
    if currency is not None and (remedy := currency_remedy(currency)):
        what = f'unknown currency "{currency}"'
        findings.add("name/currency", ("product", "currency"), what, remedy)


def _channels(launch: Launch, findings: Findings) -> dict[str, Capability]:
    capabilities = {}
    for name, spec in launch.community.channels.items():
        path = ("community", "channels", name)
        if not _known(spec.kind, CHANNEL_KINDS, "channel kind", (*path, "kind"), findings):
            continue
        try:
            capabilities[name] = capability_for(spec.kind, parse_options(spec.kind, spec.options))
        except ValidationError as error:
            report_invalid(error, findings, at=path, model=channel_class(spec.kind).Options)
    return capabilities


def _groups(launch: Launch, findings: Findings) -> None:
    seen: set[str] = set()
    for index, group in enumerate(launch.community.groups):
        path = ("community", "groups", index)
        _known(group.channel, launch.community.channels, "channel", (*path, "channel"), findings)
        if group.id in seen:
            findings.add("name/duplicate", (*path, "id"), f'the group "{group.id}" is declared twice', "rename one")
        seen.add(group.id)
    for index, staff in enumerate(launch.community.staff_groups):
        path = ("community", "staff_groups", index)
        _known(staff.channel, launch.community.channels, "channel", (*path, "channel"), findings)
        if staff.id in seen:
            findings.add("name/duplicate", (*path, "id"), f'the group "{staff.id}" is declared twice', "rename one")
        seen.add(staff.id)
        if (members := reached_by(staff, launch.community)) is not None:
            what = f"leads where the group {members} is, so that members would read what is only tried out"
            findings.add("group/staff", path, what, "give it an address, or a channel, of its own")


def reached_by(staff: StaffGroup, community: Community) -> str | None:
    """The group of members that messages to `staff` would reach as well, as far as the file can tell; else None.

    That is one with the same address on the same channel, by whatever name. What a person posts by hand goes nowhere
    by itself.
    """
    channels = community.channels
    if staff.channel not in channels or channels[staff.channel].kind == "hand_off":
        return None
    for group in community.groups:
        same = group.channel == staff.channel or channels.get(group.channel) == channels[staff.channel]
        if same and group.address == staff.address:
            return group.id
    return None


def _sources(launch: Launch, findings: Findings) -> None:
    for index, source in enumerate(launch.community.sources):
        path = ("community", "sources", index)
        _known(source.kind, SOURCES, "source kind", (*path, "kind"), findings)
        for channel, group in (source.map or {}).items():
            _known(group, launch.group_ids(), "group", (*path, "map", channel), findings)
        if source.group is not None:
            _known(source.group, launch.group_ids(), "group", (*path, "group"), findings)


def _steps(launch: Launch, phase: Phase, at: Path, findings: Findings, seen: dict[str, str]) -> None:
    for index, step in enumerate(phase.steps):
        path = (*at, "steps", index)
        _unique_id(step.id, path, findings, seen)
        _known_groups(launch, step.to, path, findings)
        if step.segment is not None:
            _known(step.segment, launch.community.segments, "segment", (*path, "segment"), findings)
        if step.keeps is not None:
            _known(step.keeps, launch.promises, "promise", (*path, "keeps"), findings)
        for position, fact in enumerate(step.reveals):
            _known(fact, launch.facts, "fact", (*path, "reveals", position), findings)


def _unique_id(step_id: str, path: Path, findings: Findings, seen: dict[str, str]) -> None:
    place = f"line {findings.document.line(path) if findings.document else 1}"
    if step_id in seen:
        findings.add(
            "name/duplicate",
            (*path, "id"),
            f'the step id "{step_id}" is used twice',
            f"rename this one or that on {seen[step_id]}",
        )
    seen.setdefault(step_id, place)


def _check_share(threshold: Threshold, path: Path, findings: Findings) -> None:
    """`at_least: 25` where 25% is meant would hold every launch at this gate."""
    if METRICS[threshold.metric].unit != "share":
        return
    for key in ("at_least", "at_most", "abort_if"):
        limit = getattr(threshold, key)
        if limit is not None and not 0 <= limit <= 1:
            given = findings.written((*path, key), f"{limit:g}")
            percent = given.endswith("%")
            span = "0% and 100%" if percent else "0 and 1"
            what = f"{threshold.metric} is a share, and {given} is not between {span}"
            likely = not percent and 1 < limit <= 100
            remedy = f"write {limit:g}% if that is meant" if likely else "write a share of the members, like 25%"
            findings.add("gate/share", (*path, key), what, remedy)


def _gate(launch: Launch, gate: Gate, at: Path, findings: Findings, seen: dict[str, str]) -> None:
    for index, threshold in enumerate(gate.thresholds):
        path = (*at, "thresholds", index)
        if _known(threshold.metric, METRICS, "metric", (*path, "metric"), findings):
            _check_share(threshold, path, findings)
        if threshold.segment is not None:
            _known(threshold.segment, launch.community.segments, "segment", (*path, "segment"), findings)
        if (threshold.at_least is None) == (threshold.at_most is None):
            findings.add("gate/threshold", path, "needs exactly one of at_least and at_most", "keep one of them")
    for index, step in enumerate(gate.remedy):
        path = (*at, "remedy", index)
        _unique_id(step.id, path, findings, seen)
        _known_groups(launch, step.to, path, findings)
    if "remedy" in gate.otherwise and not gate.remedy:
        findings.add(
            "gate/remedy", (*at, "otherwise"), "names a remedy but no remedy steps are declared", "add `remedy:`"
        )
    if gate.remedy and "remedy" not in gate.otherwise:
        findings.add("gate/remedy", (*at, "remedy"), "is never used", "add remedy to `otherwise`", severity="warning")
