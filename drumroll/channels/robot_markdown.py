"""Markdown of a step in the dialects of group robots, which know a few marks and, but for Feishu, no escapes.

Sources: WeCom, developer.work.weixin.qq.com/document/path/99110 ("markdown类型"); Feishu,
open.feishu.cn/document/common-capabilities/message-card/message-cards-content/using-markdown-tags (its table of
escapes); DingTalk, open.dingtalk.com/document/orgapp/message-type ("markdown类型": a line ends with two blanks).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from markdown_it.token import Token

from drumroll.channels.markdown import Markup, parsed
from drumroll.channels.web_address import pieces

# U+2060 is seen by nobody and parts what would be markup or a mention together, also with what comes after a mark.
_WECOM = re.compile(r"(?<!\w)@(?=\w|$)|\*(?=\*|$)|\](?=\(|$)|<(?=[A-Za-z/]|$)|^(?=\s*[#>])")
_FEISHU = re.compile(r"[&<>*~_\[\]\\`:#$!]|^[-+]")
_DINGTALK = re.compile(r"[\\`*_\[\]<>~|]|^[-+#]|(?<=\d)\.(?=\s)")
_SINGLE_BREAK = re.compile(r"(?<!\n)\n(?!\n)")


def to_wecom(text: str) -> str:
    """WeCom's `markdown`: strong, code, links, quotes; nobody is mentioned, whatever stands in the text."""
    marks = {"strong": ("**", "**"), "code": ("`", "`")}
    return _Lines(marks, _links(_in_wecom), _in_wecom, before_quoted="> ").write(text)


def to_feishu(text: str) -> str:
    """The markdown of Feishu's cards, as all its clients know it: strong, em, s and links to the web."""
    marks = {"strong": ("**", "**"), "em": ("*", "*"), "s": ("~~", "~~")}
    return _Lines(marks, _links(_in_feishu), _in_feishu, before_quoted="│ ", links_addresses=True).write(text)


def to_dingtalk(text: str) -> str:
    """DingTalk's `markdown`: strong, em, links, quotes."""
    marks = {"strong": ("**", "**"), "em": ("*", "*")}
    lines = _Lines(marks, _links(_in_dingtalk), _in_dingtalk, before_quoted="> ", links_addresses=True).write(text)
    return _SINGLE_BREAK.sub("  \n", lines)


def first_line(text: str) -> str:
    """The first line that members read of it, without any mark."""
    return _Lines({}, lambda _, inner: inner, str).write(text).partition("\n")[0]


@dataclass
class _Lines(Markup):
    """`before_quoted` stands before every line of a quote; `links_addresses`: those in the text become links too."""

    before_quoted: str = ""
    links_addresses: bool = False
    _in_heading: bool = False

    def write(self, text: str) -> str:
        pieces = [""]
        for token in parsed(text):
            if token.type == "blockquote_open":
                pieces.append("")
            elif token.type == "blockquote_close":
                lines = pieces.pop().strip("\n").split("\n")
                pieces[-1] += "".join(f"{self.before_quoted}{line}\n" for line in lines) + "\n"
            else:
                pieces[-1] += self._block(token)
        return pieces[-1].strip("\n")

    def _block(self, token: Token) -> str:
        if token.type in {"heading_open", "heading_close"}:
            self._in_heading = token.type == "heading_open"
        return super()._block(token)

    def _inline(self, tokens: Sequence[Token]) -> str:
        if self._in_heading:  # it is strong already, and four stars are none
            tokens = [token for token in tokens if not token.type.startswith("strong")]
        return super()._inline(list(_with_links(tokens)) if self.links_addresses else tokens)


def _with_links(tokens: Sequence[Token]) -> Iterator[Token]:
    inside = False
    for token in tokens:
        inside = token.type == "link_open" or (inside and token.type != "link_close")
        if token.type != "text" or inside:
            yield token
            continue
        for piece, is_address in pieces(token.content):
            if is_address:
                yield Token("link_open", "a", 1, attrs={"href": piece})
            yield Token("text", "", 0, content=piece)
            if is_address:
                yield Token("link_close", "a", -1)


def _links(plain: Callable[[str], str]) -> Callable[[str, str], str]:
    """Links to the web; an address of mail or a phone stands in the text, as `plain` writes it."""

    def link(href: str, inner: str) -> str:
        if not href.lower().startswith(("http://", "https://")):
            address = plain(unquote(href.partition(":")[2]))
            return inner if address in inner else f"{inner} ({address})"
        return f"[{inner}]({href.replace('(', '%28').replace(')', '%29')})"

    return link


def _in_wecom(words: str) -> str:
    return _WECOM.sub("\\g<0>\u2060", words)


def _in_feishu(words: str) -> str:
    return _FEISHU.sub(lambda found: f"&#{ord(found[0])};", words)


def _in_dingtalk(words: str) -> str:
    return _DINGTALK.sub(r"\\\g<0>", words)
