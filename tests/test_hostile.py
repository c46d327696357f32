"""Hostile messages and nicknames, through every channel kind: what arrives is the same words and nothing else.

Members' names and words are data. A template that says one is rendered once (tests/test_words.py); what a platform makes
of the finished text is asked here, of the doubles, which read markup and mentions as their platforms do.
"""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from drumroll.channels.base import Channel, Recipient
from drumroll.channels.registry import KINDS
from drumroll.channels.text import printable
from tests.doubles.discord import Rendered
from tests.test_channel_contract import HARNESSES, Harness

HOSTILE = {
    "html": '<script>alert(1)</script> <img src=x onerror=alert(1)> <a href="javascript:alert(1)">x</a> <!-- --> &lt;b&gt;',
    "a page": '</p></body></html> <svg/onload=alert(1)> <iframe srcdoc="<script>"></iframe> <style>*{}</style> &#60;b&#62;',
    "markdown": "**b** __b__ *i* _i_ ~~s~~ `c`\n```\nblock\n```\n# h\n> q\n- l\n1. n\n[x](javascript:alert(1)) [y](data:text/html,x)",
    "more markdown": "![i](https://t.example/p.png) [a][b] <https://c.example> \\*\n\n[b]: https://evil.example\n\n***\nh\n===",
    "telegram": "@drum_bot <tg-spoiler>x</tg-spoiler> <a href='tg://user?id=7'>x</a> [x](tg://user?id=7) ||spoiler||",
    "slack": "<!channel> <!here|here> <!everyone> <@U7> <#C0001|general> <https://evil.example|bank> :tada:",
    "discord": "@everyone @here <@80351110224678912> <@&165511591545143296> <#103735883630395392> <:a:1>\n-# small\n>>> all",
    "feishu": '<at user_id="all">所有人</at> <at id=all></at> <at id="ou_1"></at> <font color=red>x</font> :OK:',
    "dingtalk": "@13800138000 @所有人 @all <font color=#FF0000>x</font>",
    "wecom": '<@zhangsan> <@all> @all @所有人 <font color="warning">x</font>',
    "matrix": '@room @mei:example.org <a href="https://matrix.to/#/@mei:example.org">Mei</a> <mx-reply>x</mx-reply>',
    "bidi": "price \u202e0001\u202c \u2066x\u2069 \u200f\u061c שלום",
    "zero width": "te\u200bst\u200c\u200d \ufeff \u00ad \u3164 \U000e0041 @\u200ball",
    "templates": "{{ 7 * 7 }} {% raw %} {# c #} ${7*7} <%= 7 %> #{7} %(x)s {0} $(id) `id`",
    "a long word": "Looong" * 250,
    "marks without end": "*" * 200 + "_" * 200 + "`" * 100 + "[" * 100 + "<" * 100,
    "headers": "Hello\r\nBcc: all@example.org\r\nX-Evil: 1\r\n\r\n.\r\nQUIT\r\n",
    "json": '","text":"forged"}\n{"key": "forged"} \\" \\u0000 \\n',
    "sql": "'; DROP TABLE deliveries; -- \" OR 1=1",
}
_TAGS = "a b blockquote body br code em h1 h2 h3 h4 h5 h6 hr html i li ol p pre s strong ul"
_SAFE = re.compile(r"(https?://|mailto:|tel:)|^$")


@pytest.fixture(params=sorted(kind for kind in KINDS if HARNESSES[kind].observable))
async def harness(request: pytest.FixtureRequest, tmp_path: Path, capsys) -> AsyncIterator[Harness]:
    built = HARNESSES[request.param](tmp_path, capsys)
    await built.start()
    yield built
    await built.stop()


@pytest.fixture
async def channel(harness: Harness) -> AsyncIterator[Channel]:
    built = harness.build()
    await built.open()
    yield built
    await built.close()


def as_shown(kind: str, text: str) -> str:
    """`text` as it arrives where the way there has its own line ends: in mail all are CRLF, a terminal obeys none."""
    if kind == "email":
        return text.replace("\r\n", "\n").replace("\r", "\n")
    return printable(text) if kind == "console" else text


def harmless(seen: dict[str, Any]) -> None:
    """No mention, no pin, no markup that the platform reads in a plain text, no second message."""
    assert not seen.get("mentions"), seen["mentions"]
    assert not seen.get("marks"), seen["marks"]
    assert not seen.get("html")
    assert not seen.get("pinned")


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_text_arrives_as_the_same_words(harness: Harness, channel: Channel, what: str):
    await channel.send(harness.message(text=HOSTILE[what]))
    (seen,) = harness.arrived()
    assert seen["text"] == as_shown(harness.kind, HOSTILE[what])
    harmless(seen)


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_nickname_is_a_name(harness: Harness, channel: Channel, what: str):
    if not channel.capability.direct:
        pytest.skip("reaches whole groups only")
    to = Recipient("taipei", HOSTILE[what], harness.address, harness.member, HOSTILE[what])
    await channel.send(harness.message(text="Hello.", recipient=to))
    found = harness.arrived()
    if harness.kind == "console":
        assert harness.printed.endswith("\nHello.\n\n")  # the name's own line breaks are none
        assert harness.printed.count("\n") == 3
        return
    assert [(seen["text"], seen["member"]) for seen in found] == [("Hello.", "u-7")]
    harmless(found[0])
    if harness.kind == "email":
        assert [address.addr_spec for address in found[0]["mail"]["To"].addresses] == [harness.member]
        assert set(found[0]["mail"].keys()) >= {"To", "From", "Subject"}
        assert not {"Bcc", "Cc", "X-Evil"} & set(found[0]["mail"].keys())


@pytest.mark.parametrize("what", HOSTILE)
async def test_hostile_markdown_runs_nothing_and_mentions_nobody(harness: Harness, channel: Channel, what: str):
    if "markdown" not in channel.capability.formats:
        pytest.skip("takes no markdown")
    await channel.send(harness.message(text=HOSTILE[what], format="markdown"))
    (seen,) = harness.arrived()
    assert not seen.get("mentions"), seen["mentions"]
    assert not seen.get("pinned")
    for address in addresses_in(harness.kind, seen):
        assert _SAFE.match(address), address
    if seen.get("html"):
        assert tags_in(seen["html"]) <= set(_TAGS.split())
    if harness.kind == "matrix":
        assert seen["stripped"] == []


def addresses_in(kind: str, seen: dict[str, Any]) -> list[str]:
    """Where what members see leads to when they tap it."""
    if kind == "slack":
        return [run["url"] for run in _runs(seen["blocks"]) if run["type"] == "link"]
    if seen.get("html"):
        return _Page(seen["html"]).addresses
    if kind == "discord":
        return Rendered(seen["content"]).links
    return re.findall(r"(?<!\\)\]\(<?([^)>]*)", seen.get("raw") or "")


def tags_in(html: str) -> set[str]:
    page = _Page(html)
    assert page.attributes <= {"href", "start", "class"}
    return page.tags


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.addresses = set[str](), set[str](), list[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src"}]


def _runs(blocks: Any) -> list[dict[str, Any]]:
    if isinstance(blocks, list):
        return [run for each in blocks for run in _runs(each)]
    return _runs(blocks["elements"]) if "elements" in blocks else [blocks]
