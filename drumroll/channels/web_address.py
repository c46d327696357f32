"""Web addresses: which we accept, and what of them may be shown."""

import base64
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from pydantic.config import JsonDict

AS_ADDRESS: JsonDict = {
    "type": "string",
    "title": "web address",
    "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^\\s/?#@]+(?:[/?#]\\S*)?$",
    "patternErrorMessage": 'write it in full and without a login, like "https://bridge.example.org/announce"',
    "examples": ["https://bridge.example.org/announce"],
}

# ASCII only: in Chinese text the next sentence follows an address without a blank. What closes a sentence or a bracket
# around the address is none of it.
_IN_TEXT = re.compile(r"https?://[\w./?#@!$&*+,;:=%~()\[\]'-]*[\w/#$&+=%~-]", re.ASCII)


def web_address(url: str) -> str:
    """`url` itself. ValueError, without quoting it, unless it is http(s) with a host."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not url.isprintable() or " " in url:
        raise ValueError('not a web address; write it in full, like "https://bridge.example.org/announce"')
    return url


def public_address(url: str) -> str:
    """As `web_address`, and without a login in it: for addresses that stand in a file."""
    if "@" in urlsplit(web_address(url)).netloc:
        raise ValueError(
            "a launch file holds no passwords; put the address into the environment and name it in url_env"
        )
    return url


def host_of(url: str) -> str:
    """Host and port: all that errors show, for the path too may be a secret (Slack, Discord)."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def secret_parts(url: str, secret: str) -> tuple[str, ...]:
    """Everything of an address and a secret that a receiver might quote back and nobody else may read."""
    parts = urlsplit(url)
    path = [parts.path, *(piece for piece in parts.path.split("/") if len(piece) >= 16)]
    query = [parts.query, *parts.query.replace("=", "&").split("&")]
    login = [parts.username or "", parts.password or ""]
    found = [url, *path, *query, *login, *_basic(*login), secret, secret.removeprefix("whsec_")]
    return tuple({form for part in found for form in (part, unquote(part)) if len(form) >= 4})


def _basic(user: str, password: str) -> list[str]:
    """A login as its `Authorization` header has it (RFC 7617): some receivers quote their headers."""
    whole = f"{unquote(user)}:{unquote(password)}"
    return [base64.b64encode(whole.encode(to, "replace")).decode() for to in ("utf-8", "latin-1") if len(whole) > 1]


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """`text` in pieces that are none of them empty, each with whether it is a web address."""
    end = 0
    for found in _IN_TEXT.finditer(text):
        start, close = found.span()
        # https://en.wikipedia.org/wiki/Drum_(container) owns its last bracket.
        if text[close : close + 1] == ")" and found.group().count("(") > found.group().count(")"):
            close += 1
        if start > end:
            yield text[end:start], False
        yield text[start:close], True
        end = close
    if end < len(text):
        yield text[end:], False
