"""What a webhook's answer means: arrived, certainly not arrived, or nobody knows. Pure: bytes in, verdict out."""

import re
from datetime import UTC, datetime
from typing import Any

from drumroll.channels.answer import Answer, in_brackets, json_object, retry_after_seconds
from drumroll.channels.base import Kind, Receipt, SendError

# Rate limits inside a 200: WeCom 45009 and 45033, DingTalk 130101.
_RATE_CODES = {"45009", "45033", "130101"}
_RATE_WORDS = re.compile(r"\brate\b|ratelimit|too many|too fast|throttl|frequen|频|頻", re.IGNORECASE)

_REMEDIES = {
    401: "check the secret on both sides",
    403: "check the secret on both sides",
    404: "check the url",
    405: "check the url",
    410: "the receiver has closed this address; get a new url",
    413: "the text is too long for the receiver; shorten it, and set max_bytes on the channel",
}
_NOT_TAKEN = {408, 425, 429, 503}
_NEVER = {501, 505}


def read_answer(
    answer: Answer, *, key: str, who: str, idempotent: bool, secrets: tuple[str, ...] = (), rated: bool = False
) -> Receipt:
    """The receipt in `answer`; its id is the body's `id`, else `key`. Raises SendError for everything but a clean 2xx.

    A 2xx whose JSON says `errcode` other than 0, `ok: false` or a non-empty `error` is an error: WeCom, DingTalk and
    Slack answer so. 500, 502, 504 and the like may come from a gateway after the message got through, so they are
    ambiguous unless the receiver drops repeated keys (`idempotent`). `secrets` are blotted out of the receiver's words.
    With `rated` the receiver has one rate for all messages, and a refusal for haste is about all of them (`limited`);
    else it may be about this group alone.
    """
    try:
        return _receipt(answer, key, who, idempotent=idempotent, secrets=secrets)
    except SendError as error:
        if rated and error.kind == "transient" and (answer.status == 429 or answer.status < 300):
            error.kind = "limited"
        raise


def _receipt(answer: Answer, key: str, who: str, *, idempotent: bool, secrets: tuple[str, ...]) -> Receipt:
    said = json_object(answer.body)
    status = answer.status
    if 200 <= status < 300 and not _is_error(said):
        return Receipt(message_id=_id(said) or key)
    wait = retry_after_seconds(answer.retry_after, now=datetime.now(UTC))
    words = _words(said, secrets)
    if 200 <= status < 300:
        rate = str(said.get("errcode")) in _RATE_CODES or _RATE_WORDS.search(words) is not None
        meant: Kind = "transient" if rate else "permanent"
        remedy = "slow down" if rate else "see what the receiver asks for"
        raise SendError(f"{who} answered {status}, but with an error{words}; {remedy}", kind=meant, retry_after=wait)
    kind, remedy = _meaning(status, idempotent=idempotent)
    doubtful = kind == "transient" and status not in _NOT_TAKEN
    raise SendError(f"{who} answered {status}{words}; {remedy}", kind=kind, retry_after=wait, doubtful=doubtful)


def _meaning(status: int, *, idempotent: bool) -> tuple[Kind, str]:
    if status < 400:
        return "permanent", "redirects are not followed; put the address it leads to into the url"
    if status in _NOT_TAKEN:
        return "transient", "it is tried again"
    if status < 500 or status in _NEVER:
        return "permanent", _REMEDIES.get(status, "the receiver does not accept it; see its log")
    if idempotent:
        return "transient", "it is tried again with the same webhook-id"
    return "ambiguous", "it may have arrived; look into the group, then resolve it"


def _is_error(said: dict[str, Any]) -> bool:
    code = said.get("errcode", 0)
    return code not in (0, "0", None) or said.get("ok") is False or bool(said.get("error"))


def _words(said: dict[str, Any], secrets: tuple[str, ...]) -> str:
    """The receiver's own words in brackets."""
    parts = [said.get(name) for name in ("errcode", "error", "errmsg", "message", "description")]
    text = " ".join(str(part) for part in parts if isinstance(part, (str, int)) and not isinstance(part, bool))
    return in_brackets(text, secrets)


def _id(said: dict[str, Any]) -> str | None:
    found = said.get("id")
    if isinstance(found, bool) or not isinstance(found, (str, int)):
        return None
    text = str(found)
    return text if text.isprintable() and 0 < len(text) <= 200 else None
