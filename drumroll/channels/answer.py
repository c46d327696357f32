"""What came back over HTTP, as plain values, and how to read it. Knows no platform and no HTTP library."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from drumroll.channels.base import SendError

_LONGEST_WAIT = 10 * 365 * 86400.0


class Answer(NamedTuple):
    """One HTTP answer; `body` may be cut off, `retry_after` is that header; `headers` take names in any case."""

    status: int
    body: bytes
    retry_after: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Broken:
    """No answer. `connected`: bytes may have left us. `late`: time ran out. `mistrusted`: a bad certificate.

    `refused`: we did not even try, for it leads to an address that this machine must not be made to call.
    """

    connected: bool
    late: bool = False
    mistrusted: bool = False
    refused: bool = False


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; empty when it is none."""
    # Not orjson: it refuses a byte-order mark and UTF-16, and makes a float of a long id.
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def in_brackets(words: str, secrets: tuple[str, ...]) -> str:
    """A receiver's own words as ` (…)`: one line, printable, at most 200 characters, no secret; empty for none."""
    words = without(words, secrets)
    words = "".join(char if char.isprintable() else " " for char in words)[:200].strip()
    return f" ({words})" if words else ""


def without(text: str, secrets: tuple[str, ...]) -> str:
    """`text` with … where a secret was."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def retry_after_seconds(header: str | None, *, now: datetime) -> float | None:
    """Seconds to wait, from `Retry-After` as seconds or HTTP date (RFC 9110, 10.2.3); never negative, at most 10 years.

    None when there is none or it makes no sense.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            at = parsedate_to_datetime(header)
        except (ValueError, OverflowError):
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return sensible_wait(seconds)


def sensible_wait(seconds: Any) -> float | None:
    """`seconds` as a platform gave them: a number from 0 to ten years, or None."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return None
    return min(max(float(seconds), 0.0), _LONGEST_WAIT)


def broken_error(
    broken: Broken, *, who: str, timeout: float, idempotent: bool, asks: bool = False, where: str = "the url"
) -> SendError:
    """The error for a request without an answer. `who` names channel and receiver, `where` what of ours to check.

    Without a connection the message certainly did not arrive: transient. A connection that broke or stayed silent
    afterwards leaves it open: ambiguous, unless the receiver drops repeated keys (`idempotent`) or the request was a
    question (`asks`), whose loss leaves nothing in doubt.
    """
    if broken.refused:
        what = "leads to a private address"
        remedy = "if it is a machine of yours, list its name in the environment variable DRUMROLL_PRIVATE_HOSTS"
        return SendError(f"{who} {what}; {remedy}", kind="permanent")
    if broken.mistrusted:
        return SendError(f"{who} shows a certificate that does not verify; renew it", kind="permanent")
    if not broken.connected:
        what = f"let nobody in for {timeout:g} s" if broken.late else "cannot be reached"
        return SendError(f"{who} {what}; check {where} and whether the receiver runs", kind="transient")
    what = f"gave no answer for {timeout:g} s" if broken.late else "broke the connection off"
    if asks:
        return SendError(f"{who} {what}; it is tried again", kind="transient")
    if idempotent:
        return SendError(f"{who} {what}; it is tried again with the same key", kind="transient", doubtful=True)
    return SendError(f"{who} {what}; it may have arrived: look into the group, then resolve it", kind="ambiguous")
