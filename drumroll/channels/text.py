"""The finished text on its way out: what no channel can carry, and what a terminal must not obey."""

import re
from typing import Any

from drumroll.capability import Capability
from drumroll.channels.base import Message, SendError

# C0 and C1 controls except newline and tab: a terminal would obey them.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


_MENTION = re.compile(r"(?<!\w)@(?=\w)")


def check_can(message: Message, can: Capability, *, name: str) -> None:
    """Refuse what the channel cannot carry: markup, attachments, a pin or @all it has not, and what does not fit.

    SendError, permanent. `check` says the same long before; nothing is ever cut or left out.
    """
    problem = ""
    if message.format not in can.formats:
        problem = f"is written in {message.format}, which it does not take; write `format: {min(can.formats)}`"
    elif len(message.attachments) > can.attachments:
        problem = f"has {len(message.attachments)} attachments and {can.attachments or 'none'} fit; leave some out"
    elif message.pin and not can.pin:
        problem = "asks to be pinned, which it cannot do; leave `pin` out"
    elif message.mention_all and not can.mention_all:
        problem = "mentions everyone, which it cannot do; leave `mention_all` out"
    for file in message.attachments:
        if can.attachment_bytes is not None and len(file.content) > can.attachment_bytes:
            problem = f"has an attachment, {file.name}, of {len(file.content):,} bytes and {can.attachment_bytes:,} fit"
    if problem:
        raise SendError(f'channel "{name}": step "{message.step}" {problem}', kind="permanent")
    most = can.most_chars(attached=bool(message.attachments))
    check_fits(message, name=name, max_bytes=can.most_bytes(message.format), max_chars=most)


def check_fits(message: Message, *, name: str, max_bytes: int | None, max_chars: int | None = None) -> None:
    """Refuse a text that is not valid Unicode or longer than fits; SendError, permanent.

    `max_bytes` are UTF-8 bytes, `max_chars` UTF-16 code units.
    """
    try:
        size = len(message.text.encode())
    except UnicodeEncodeError as error:
        place = error.start
    else:
        _refuse_over(message, name, size, max_bytes, "bytes")
        if max_chars is not None:
            _refuse_over(message, name, utf16_length(message.text), max_chars, "characters")
        return
    # Raised out here, so that the text inside the codec's own error does not travel along with it.
    raise SendError(
        f'channel "{name}": step "{message.step}" has half a character (a lone surrogate) at position {place}'
        "; write that character again in its template or its variables",
        kind="permanent",
    )


def _refuse_over(message: Message, name: str, size: int, most: int | None, unit: str) -> None:
    if most is not None and size > most:
        raise SendError(
            f'channel "{name}": step "{message.step}" has {size} {unit}, {size - most} more than the'
            f" {most} that fit; shorten it or split it into two steps",
            kind="permanent",
        )


def utf16_length(text: str) -> int:
    """UTF-16 code units of `text`: what Telegram and Discord's apps count; an emoji is two or more."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def without_mentions(text: str) -> str:
    """`text` looking the same, where platforms that find mentions by themselves find none (U+2060 after each @)."""
    return _MENTION.sub("@\u2060", text)


def as_record(message: Message) -> dict[str, Any]:
    """The message as plain data, keys in a fixed order, so that the same message is the same bytes."""
    return {
        "key": message.key,
        "edition": message.edition,
        "step": message.step,
        "occurrence": message.occurrence,
        "number": message.number,
        "due": message.due,
        "sent_at": message.sent_at,
        "group": message.recipient.group,
        "member": message.recipient.member,
        "text": message.text,
    }


def printable(text: str) -> str:
    r"""`text` with control characters spelled out (`\x1b`); newlines and tabs stay."""
    return text.translate(_CONTROLS)
