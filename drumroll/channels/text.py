"""The finished text on its way out: what no channel can carry, and what a terminal must not obey."""

import re
from collections.abc import Iterator
from typing import Any

from drumroll.capability import Capability
from drumroll.channels.base import Message, SendError
from drumroll.channels.web_address import pieces

# C0 and C1 controls except newline and tab: a terminal would obey them.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


_MENTION = re.compile(r"(?<!\w)@(?=\w)")


def check_can(message: Message, can: Capability, *, name: str) -> None:
    """Refuse what the channel cannot carry: markup, attachments, a pin or @all it has not, and what does not fit.

    SendError, permanent. `check` says the same long before; nothing is ever cut or left out.
    """
    for problem in _beyond(message, can):
        raise SendError(f'channel "{name}": step "{message.step}" {problem}', kind="permanent")
    _check_fits(message, can, name=name)


def _beyond(message: Message, can: Capability) -> Iterator[str]:
    files = message.attachments
    if message.format not in can.formats:
        yield f"is written in {message.format}, which it does not take; write `format: {min(can.formats)}`"
    if len(files) > can.attachments:
        yield f"has {len(files)} attachments and {can.attachments or 'none'} fit; leave some out"
    if message.pin and not can.pin:
        yield "asks to be pinned, which it cannot do; leave `pin` out"
    if message.pin and files and not can.pin_with_files:
        yield "asks to be pinned, which it cannot do with attachments; leave `pin` or the attachments out"
    if message.mention_all and not can.mention_all:
        yield "mentions everyone, which it cannot do; leave `mention_all` out"
    if message.mention_all and message.format not in can.mention_all_formats:
        other = f"write `format: {min(can.mention_all_formats)}`, or leave `mention_all` out"
        yield f"mentions everyone, which it cannot do in {message.format}; {other}"
    for file in files:
        if can.attachment_bytes is not None and len(file.content) > can.attachment_bytes:
            yield f"has an attachment, {file.name}, of {len(file.content):,} bytes and {can.attachment_bytes:,} fit"
        if can.attachment_types and file.name.rpartition(".")[2].lower() not in can.attachment_types:
            yield f"has an attachment, {file.name}, and it takes only {', '.join(sorted(can.attachment_types))}"


def _check_fits(message: Message, can: Capability, *, name: str) -> None:
    attached, everyone = bool(message.attachments), message.mention_all
    try:
        over = can.too_long(message.text, message.format, attached=attached, everyone=everyone)
    except UnicodeEncodeError as error:
        place = error.start
    else:
        if over is not None:
            raise SendError(
                f'channel "{name}": step "{message.step}" has {over.size} {over.unit}{over.of}, '
                f"{over.size - over.most} more than the {over.most} that fit; shorten it or split it into two steps",
                kind="permanent",
            )
        return
    # Raised out here, so that the text inside the codec's own error does not travel along with it.
    raise SendError(
        f'channel "{name}": step "{message.step}" has half a character (a lone surrogate) at position {place}'
        "; write that character again in its template or its variables",
        kind="permanent",
    )


def utf16_length(text: str) -> int:
    """UTF-16 code units of `text`: what Telegram and Discord's apps count; an emoji is two or more."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def without_mentions(text: str) -> str:
    """`text` looking the same, where platforms that find mentions by themselves find none (U+2060 after each @).

    A web address stays as it is: `https://medium.com/@name` would lead elsewhere.
    """
    return "".join(piece if is_link else _MENTION.sub("@\u2060", piece) for piece, is_link in pieces(text))


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
