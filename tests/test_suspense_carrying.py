"""What `check` finds weeks before the instant, and a channel would refuse at it: both are asked, and agree."""

import json
from pathlib import Path

import pytest

from drumroll.capability import Capability, Extent
from drumroll.channels.base import Attachment, ChannelContext, Recipient, SendError
from drumroll.channels.registry import KINDS, channel_class, parse_options
from drumroll.errors import Finding
from tests.channel_messages import message
from tests.launch_files import new_project
from tests.opened_channels import least
from tests.test_suspense_schedule import WORDS, launch, say

ENVIRON = {
    "WEBHOOKS": "https://discord.com/api/webhooks/1/abc",
    "ROBOTS": "robot-1",
    "TOKEN": "123:ABC",
    "CORP": "ww1",
    "SECRET": "s",
}
CHANNELS = {
    "console": "kind: console",
    "dingtalk": "kind: dingtalk, robots_env: ROBOTS",
    "discord": "kind: discord, webhooks_env: WEBHOOKS",
    "feishu": "kind: feishu, robots_env: ROBOTS",
    "slack": "kind: slack, token_env: TOKEN",
    "telegram": "kind: telegram, token_env: TOKEN",
    "wecom_customer_group": "kind: wecom_customer_group, corp_id_env: CORP, secret_env: SECRET, sender: mei",
    "wecom_robot": "kind: wecom_robot, robots_env: ROBOTS",
}
ADDRESSES = {"slack": "C1", "telegram": "-1001", "wecom_customer_group": "wrA"}
POSTER, FILM = "poster.gif", "film.mp4"

CASES = {
    # rule, kind, text, more of the step → what `check` says
    "escapes": ("words/too-long", "discord", "*" * 1100, "", "2,2"),
    "a mention of everyone": (
        "words/too-long",
        "discord",
        "x" * 1995,
        "mention_all: true",
        "characters with its escapes",
    ),
    "escapes in markdown": (
        "words/too-long",
        "discord",
        r"\*" * 1200,
        "format: markdown",
        "more than channel room takes",
    ),
    "what parts mentions": ("words/too-long", "wecom_robot", "@a " * 600, "", "bytes with what keeps its words"),
    "what parts mentions of a bot": ("words/too-long", "telegram", "@a " * 1100, "", "(4,096)"),
    "a caption": ("words/too-long", "telegram", "x" * 1030, f"attach: [{FILM}]", "(1,024 below an attachment)"),
    "JSON's own signs": ("words/too-long", "dingtalk", '"' * 12_000, "", "bytes with its markup"),
    "escapes in a card": ("words/too-long", "feishu", r"\*" * 4_900, "format: markdown", "bytes with its markup"),
    "markup": ("channel/cannot", "console", "x", "format: markdown", "does not take markdown"),
    "a pin": ("channel/cannot", "discord", "x", "pin: true", "cannot pin a message"),
    "a pin on files": ("channel/cannot", "slack", "x", f"pin: true, attach: [{FILM}]", "a message with attachments"),
    "everyone": ("channel/cannot", "telegram", "x", "mention_all: true", "cannot mention everyone"),
    "everyone in markdown": (
        "channel/cannot",
        "wecom_robot",
        "x",
        "mention_all: true, format: markdown",
        "cannot mention everyone in markdown",
    ),
    "a file": ("channel/cannot", "feishu", "x", f"attach: [{FILM}]", "takes no attachments"),
    "a kind of file": ("channel/cannot", "wecom_customer_group", "x", f"attach: [{POSTER}]", "takes no .gif files"),
}
FINE = {
    "escapes that fit": ("discord", "*" * 900, ""),
    "a pin alone": ("slack", "x", "pin: true"),
    "everyone in text": ("wecom_robot", "x", "mention_all: true"),
    "everyone in markdown": ("discord", "x", "mention_all: true, format: markdown"),
    "marks that nobody reads": ("telegram", f"**{'x' * 4080}**", "format: markdown"),
    "an address with an at sign": ("wecom_robot", "https://medium.com/@a " * 90, ""),
}


def checked(root: Path, kind: str, text: str, more: str) -> tuple[list[Finding], str]:
    for name in (POSTER, FILM):
        (root / name).write_bytes(b"123456")
    step = say("D-2 12:00", "one", kind="value", more=f", {more}" if more else "").replace(
        '"Plain words."', json.dumps(text)
    )
    written = launch({"recruit": ("D-3 00:10", "D-1 23:50", [step])}, channel=f"{{{CHANNELS[kind]}}}")
    templates = WORDS | {"en/recruit/value.md.j2": "{{ vars.text }}\n"}
    found = new_project(root, written, templates).check()
    return [each for each in found.findings if each.rule in {"words/too-long", "channel/cannot"}], found.texts["one"]


async def refusal(kind: str, text: str, more: str) -> SendError | None:
    """What the channel itself says, without a network: None when it would have gone out."""
    options = dict(part.split(": ") for part in CHANNELS[kind].split(", ")[1:])
    channel = channel_class(kind)("room", parse_options(kind, options), ChannelContext(".", ENVIRON))
    channel._poster = None
    if hasattr(channel, "_read_credentials"):
        channel._secrets = channel._read_credentials()
    asked = dict(part.split(": ") for part in more.split(", ") if part)
    files = (Attachment(asked["attach"].strip("[]"), b"123456"),) if "attach" in asked else ()
    given = {"format": asked.get("format", "text"), "attachments": files}
    given |= {name: name in asked for name in ("pin", "mention_all")}
    try:
        await channel.send(message(text=text, recipient=Recipient("a", "A", ADDRESSES.get(kind)), **given))
    except SendError as error:
        return None if "is not open" in str(error) else error
    return None


@pytest.mark.parametrize("case", CASES)
async def test_check_finds_what_the_channel_would_refuse(tmp_path, case):
    rule, kind, text, more, what = CASES[case]
    findings, rendered = checked(tmp_path, kind, text, more)
    assert [finding.rule for finding in findings] == [rule]
    assert what in findings[0].what
    error = await refusal(kind, rendered, more)
    assert error is not None
    assert error.kind == "permanent"


@pytest.mark.parametrize("case", FINE)
async def test_check_passes_what_the_channel_takes(tmp_path, case):
    kind, text, more = FINE[case]
    findings, rendered = checked(tmp_path, kind, text, more)
    assert findings == []
    assert await refusal(kind, rendered, more) is None


def test_the_first_limit_that_is_passed_is_told():
    can = Capability(max_bytes=10, written=lambda text, of, **_: Extent(len(text) * 2, 15, "characters", " twice"))
    assert can.too_long("123456", "text", attached=False, everyone=False) is None
    assert can.too_long("12345678", "text", attached=False, everyone=False) == Extent(16, 15, "characters", " twice")
    assert can.too_long("1234567890A", "text", attached=False, everyone=False) == Extent(11, 10, "bytes")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_a_kind_cannot_do_at_all_it_promises_nowhere_else(kind):
    can = channel_class(kind).capability_for(parse_options(kind, least(kind)))
    assert can.mention_all_formats & can.formats or not can.mention_all
    assert can.attachments or (can.attachment_bytes is None and not can.attachment_types and can.caption_chars is None)
    assert can.pin_with_files or (can.pin and can.attachments)
