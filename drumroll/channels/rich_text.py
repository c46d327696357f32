"""Slack's rich text: sections, lists, quotes and code, as Slack's own composer writes them.

Source: docs.slack.dev/reference/block-kit/blocks/rich-text-block. A mention or an emoji is an element of its own there,
so nothing in a text element is markup. Slack's older `mrkdwn` has no way to write a * or _ that is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from drumroll.channels.web_address import pieces

if TYPE_CHECKING:
    from markdown_it.token import Token

Element = dict[str, Any]
_STYLES = {"strong": "bold", "em": "italic", "s": "strike"}
_DEEPEST = 8


def literal(text: str) -> list[Element]:
    """`text` as it is; web addresses in it are links."""
    return [_part("section", _runs(text, {}))]


def from_markdown(text: str) -> list[Element]:
    """CommonMark as rich text elements; headings become bold lines."""
    from drumroll.channels.markdown import parsed  # noqa: PLC0415 - only where markdown is sent

    writer = _Writer()
    for token in parsed(text):
        writer.add(token)
    return writer.written


def to_everyone(elements: Sequence[Element]) -> list[Element]:
    """`elements` below a mention of the whole channel."""
    mention = {"type": "broadcast", "range": "channel"}
    if elements and elements[0]["type"] == "rich_text_section":
        return [_part("section", [mention, _text("\n"), *elements[0]["elements"]]), *elements[1:]]
    return [_part("section", [mention]), *elements]


def shown(elements: Sequence[Element]) -> str:
    """What it says without its looks: for notifications and screen readers."""
    lines = []
    for element in elements:
        if element["type"] == "rich_text_list":
            number = element.get("offset", 0)
            for item in element["elements"]:
                number += 1
                mark = f"{number}. " if element["style"] == "ordered" else "• "
                lines.append("  " * element["indent"] + mark + shown([item]))
        else:
            lines.append("".join(run.get("text") or run.get("url") or "@channel" for run in element["elements"]))
    return "\n".join(lines)


def _part(kind: str, runs: list[Element]) -> Element:
    return {"type": f"rich_text_{kind}", "elements": runs}


def _text(words: str) -> Element:
    return {"type": "text", "text": words}


def _runs(text: str, style: Element) -> list[Element]:
    return [({"type": "link", "url": piece} if is_link else _text(piece)) | style for piece, is_link in pieces(text)]


@dataclass
class _List:
    style: str
    count: int
    item_begins: bool = False


@dataclass
class _Writer:
    written: list[Element] = field(default_factory=list)
    _lists: list[_List] = field(default_factory=list)
    _quotes: int = 0
    _heads: bool = False

    def add(self, token: "Token") -> None:
        kind = token.type
        if kind == "inline":
            self._put(_inline(token.children or (), heads=self._heads))
        elif kind in {"fence", "code_block"}:
            self.written.append(_part("preformatted", [_text(token.content.rstrip("\n") or " ")]))
        elif kind == "hr":
            self._put([_text("————")])
        elif kind.startswith("heading_"):
            self._heads = token.nesting == 1
        elif kind.startswith("blockquote_"):
            self._quotes += token.nesting
        elif kind == "list_item_open":
            self._lists[-1].item_begins = True
        elif kind.endswith("_list_open"):
            ordered = kind.startswith("ordered")
            first = int(token.attrs.get("start", 1)) if ordered else 1
            self._lists.append(_List("ordered" if ordered else "bullet", first - 1))
        elif kind.endswith("_list_close"):
            self._lists.pop()

    def _put(self, runs: list[Element]) -> None:
        if not runs:
            return
        if self._lists:
            self._put_item(self._lists[-1], runs)
            return
        part = _part("quote" if self._quotes else "section", runs)
        if self.written and self.written[-1]["type"] == part["type"]:
            self.written[-1]["elements"] += [_text("\n\n"), *runs]
        else:
            self.written.append(part)

    def _put_item(self, into: _List, runs: list[Element]) -> None:
        about = {"style": into.style, "indent": min(len(self._lists) - 1, _DEEPEST)}
        last = self.written[-1] if self.written else {}
        goes_on = about.items() <= last.items()
        if not into.item_begins and goes_on:
            last["elements"][-1]["elements"] += [_text("\n"), *runs]
            return
        if goes_on:
            last["elements"].append(_part("section", runs))
        else:
            offset = {"offset": into.count} if into.style == "ordered" and into.count else {}
            self.written.append(_part("list", [_part("section", runs)]) | about | offset)
        into.item_begins, into.count = False, into.count + 1


def _inline(tokens: Sequence["Token"], *, heads: bool) -> list[Element]:
    runs: list[Element] = []
    marks = ["bold"] if heads else []
    href = ""
    for token in tokens:
        mark, _, side = token.type.partition("_")
        if token.type == "link_open":
            href = str(token.attrs.get("href", ""))
        elif token.type == "link_close":
            href = ""
        elif mark in _STYLES:
            marks = [*marks, _STYLES[mark]] if side == "open" else marks[: max(len(marks) - 1, 0)]
        elif token.type in {"text", "code_inline", "softbreak", "hardbreak"}:
            words = "\n" if token.type.endswith("break") else token.content
            code = ["code"] if token.type == "code_inline" else []
            style = {"style": dict.fromkeys([*marks, *code], True)} if marks or code else {}
            runs += _linked(words, href, style, is_code=bool(code))
    return runs


def _linked(words: str, href: str, style: Element, *, is_code: bool) -> list[Element]:
    if not words:
        return []
    if href:
        return [{"type": "link", "url": href, "text": words} | style]
    return [_text(words) | style] if is_code else _runs(words, style)
