"""docs/channels.md says of every channel kind what its class says, and its snippets are sound."""

import re
from pathlib import Path

import pytest
import yaml

from drumroll.capability import Capability, Rate
from drumroll.channels.reach import PRIVATE_HOSTS
from drumroll.channels.registry import KINDS, capability_for, channel_class, parse_options
from tests.launch_files import new_project
from tests.opened_channels import least

PAGE = (Path(__file__).parents[1] / "docs" / "channels.md").read_text(encoding="utf-8")
_HEAD = ["kind", "one text", "formats", "files", "pin, @all", "single members", "rates", "ids", "a lost answer"]


def limits_table() -> str:
    """The table of limits, from the capability of each kind with nothing but the options it needs."""
    rows = [_HEAD, *(_row(kind, capability_for(kind, parse_options(kind, least(kind)))) for kind in sorted(KINDS))]
    lines = [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join([lines[0], "|---" * len(_HEAD) + "|\n", *lines[1:]])


def _row(kind: str, can: Capability) -> list[str]:
    asks = [
        "pin" + ("" if can.pin_with_files else ", not with files") if can.pin else "",
        "@all" + ("" if can.mention_all_formats >= can.formats else " in " + " and ".join(can.mention_all_formats))
        if can.mention_all
        else "",
    ]
    return [
        f"[`{kind}`](#{kind})",
        _length(can),
        ", ".join(sorted(can.formats, reverse=True)),
        _files(can),
        ", ".join(filter(None, asks)) or "no",
        "yes" if can.direct else "no",
        ", ".join([*map(_rate, can.rates), *_caps(can)]) or "none known",
        "the platform's" if can.message_ids else "our key",
        _lost(can),
    ]


def _length(can: Capability) -> str:
    parts = []
    if can.max_bytes is not None:
        of = f" ({can.markdown_max_bytes:,} of markdown)" if can.markdown_max_bytes is not None else ""
        parts.append(f"{can.max_bytes:,} bytes{of}")
    if can.max_chars is not None:
        below = f" ({can.caption_chars:,} with a file)" if can.caption_chars is not None else ""
        parts.append(f"{can.max_chars:,} characters{below}")
    return ", ".join(parts) or "no limit"


def _files(can: Capability) -> str:
    if not can.attachments:
        return "none"
    size = (can.attachment_bytes or 0) / 2**20
    each = f"{size / 1024:g} GiB" if size >= 1024 else f"{size:g} MiB" if size else "any size"
    of = f", {'/'.join(sorted(can.attachment_types))}" if can.attachment_types else ""
    return f"{can.attachments} of {each}{of}"


def _rate(rate: Rate) -> str:
    span = {1: "a second", 60: "a minute"}[int(rate.seconds)]
    return f"{rate.limit:,} {span}" + {"credential": "", "robot": " from a robot", "group": " to a group"}[rate.per]


def _caps(can: Capability) -> list[str]:
    caps = {"a day": can.daily_cap, "a month": can.monthly_cap}
    return [f"{cap} {span} to a group" for span, cap in caps.items() if cap is not None]


def _lost(can: Capability) -> str:
    if can.idempotent:
        return "sent again with the same key"
    return "looked up" if can.look_up else "`unknown`: a person looks"


def section(kind: str) -> str:
    return PAGE.partition(f"\n### {kind}\n")[2].partition("\n### ")[0].partition("\n## ")[0]


def test_the_table_of_limits_is_what_the_classes_say():
    assert limits_table() in PAGE, f"write it anew:\n{limits_table()}"


def test_every_kind_has_its_section_in_order():
    assert re.findall(r"^### ([a-z_]+)$", PAGE, re.MULTILINE) == sorted(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_section_says_what_it_reaches_how_to_get_in_and_against_what_it_is_tested(kind):
    for words in ("**Reaches** ", "**Credential.** ", "**Address.** ", "**Tested** "):
        assert words in section(kind), f"{kind}: {words}"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_snippet_is_sound(kind, tmp_path):
    (written,) = re.findall(r"```yaml\n(.*?)```", section(kind), re.DOTALL)
    assert written.count("\n") <= 6
    community = yaml.safe_load(written)
    (spec,) = community["channels"].values()
    assert spec.pop("kind") == kind
    parse_options(kind, spec)
    indented = "".join(f"  {line}\n" for line in written.splitlines())
    project = new_project(tmp_path)
    start, end = project.text.index("  channels:"), project.text.index("  segments:")
    launch = project.write(project.text[:start] + indented + project.text[end:])
    findings = [f for f in launch.check().findings if "community" in f.path]
    assert findings == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_section_names_the_options_that_there_are(kind):
    fields = channel_class(kind).Options.model_fields
    known = {field.alias or name for name, field in fields.items()} | {"kind", "api", "address", "format"}
    keys = set(re.findall(r"`([a-z]+_env|history|lead|sender|per_minute|idempotent|appservice_user)`", section(kind)))
    assert keys <= known


def test_the_page_names_what_the_operator_sets():
    assert PRIVATE_HOSTS in PAGE
