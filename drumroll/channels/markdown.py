"""Markdown of a step, in the markup that a platform reads. CommonMark without HTML: a tag in it is text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import count
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from drumroll.channels.text import without_mentions

Mark = Literal["strong", "em", "s", "code", "pre", "quote"]

_PARSER = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable("image").enable("strikethrough")
_SAFE = ("http://", "https://", "mailto:", "tel:")


def to_html(text: str) -> str:
    """Whole HTML (paragraphs, lists, headings): for e-mail and Matrix. Links only to the web, to mail and to phones."""
    return str(_PARSER.renderer.render(parsed(text), _PARSER.options, {})).strip()


def to_words(text: str) -> str:
    """What members read of it where nothing is marked: the text alone."""
    return Markup(marks={}, link=lambda _, inner: inner, plain=str).write(text)


def parsed(text: str) -> list[Token]:
    """The parser's tokens; what linked to elsewhere than the web, mail or phones is text."""
    tokens = _PARSER.parse(text)
    for token in tokens:
        token.children = list(_safe_links(token.children)) if token.children else token.children
    return tokens


def _safe_links(tokens: Sequence[Token]) -> Iterator[Token]:
    is_safe = True
    for token in tokens:
        if token.type == "link_open":
            is_safe = _is_safe(_href(token))
        if is_safe or token.type not in {"link_open", "link_close"}:
            yield token


def to_telegram(text: str) -> str:
    """The few tags that Telegram's `parse_mode: HTML` knows; lists and headings become lines of text, @names stay text.

    Source: core.telegram.org/bots/api, "HTML style".
    """
    names = {"strong": "b", "em": "i", "quote": "blockquote"}
    tags = {mark: names.get(mark, mark) for mark in ("strong", "em", "s", "code", "pre", "quote")}
    return Markup(
        marks={mark: (f"<{tag}>", f"</{tag}>") for mark, tag in tags.items()},
        link=lambda href, inner: f'<a href="{escape(href)}">{inner}</a>',
        plain=lambda words: escape(without_mentions(words), quote=False),
    ).write(text)


@dataclass
class Markup:
    """Markdown as lines of inline markup, for platforms without blocks.

    `marks` holds both sides of each mark ("" where the platform has none), `link(href, inner)` writes a link,
    `plain(words)` escapes what is text, `verbatim(words)` what stands in code (None: as text). Headings become strong
    lines, list items lines with • or their number.
    """

    marks: dict[str, tuple[str, str]]
    link: Callable[[str, str], str]
    plain: Callable[[str], str]
    verbatim: Callable[[str], str] | None = None
    _numbers: list[Iterator[int] | None] = field(default_factory=list)

    def write(self, text: str) -> str:
        """The whole text."""
        return "".join(map(self._block, _PARSER.parse(text))).strip("\n")

    def _side(self, mark: str, side: Literal[0, 1]) -> str:
        return self.marks.get(mark, ("", ""))[side]

    def _code(self, words: str) -> str:
        return (self.verbatim or self.plain)(words)

    def _block(self, token: Token) -> str:
        kind = token.type
        if kind == "inline":
            return self._inline(token.children or ())
        if kind in {"fence", "code_block"}:
            return self._side("pre", 0) + self._code(token.content.rstrip("\n")) + self._side("pre", 1) + "\n\n"
        if kind.endswith(("_list_open", "_list_close", "_item_open")):
            return self._list(token)
        return {
            "heading_open": self._side("strong", 0),
            "heading_close": self._side("strong", 1) + "\n\n",
            "paragraph_close": "\n" if token.hidden or self._numbers else "\n\n",
            "blockquote_open": self._side("quote", 0),
            "blockquote_close": self._side("quote", 1) + "\n",
            "hr": "————\n\n",
        }.get(kind, "")

    def _list(self, token: Token) -> str:
        if token.type == "list_item_open":
            number = self._numbers[-1]
            return "  " * (len(self._numbers) - 1) + ("• " if number is None else f"{next(number)}. ")
        if token.type.endswith("_open"):
            first = int(token.attrs.get("start", 1))
            self._numbers.append(count(first) if token.type.startswith("ordered") else None)
            return ""
        self._numbers.pop()
        return "" if self._numbers else "\n"

    def _inline(self, tokens: Sequence[Token]) -> str:
        pieces, links = [""], list[str]()
        for token in tokens:
            mark, _, side = token.type.partition("_")
            if token.type == "link_open":
                links.append(_href(token))
                pieces.append("")
            elif token.type == "link_close":
                href, inner = links.pop(), pieces.pop()
                pieces[-1] += self.link(href, inner) if _is_safe(href) else inner
            elif token.type == "code_inline":
                pieces[-1] += self._side("code", 0) + self._code(token.content) + self._side("code", 1)
            elif side in {"open", "close"}:
                pieces[-1] += self._side(mark, 0 if side == "open" else 1)
            else:
                pieces[-1] += "\n" if token.type.endswith("break") else self.plain(token.content)
        return "".join(pieces)


def _href(token: Token) -> str:
    return str(token.attrs.get("href", ""))


def _is_safe(href: str) -> bool:
    return href.lower().startswith(_SAFE)
