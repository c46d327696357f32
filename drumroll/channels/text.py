"""The finished text on its way out: what no channel can carry, and what a terminal must not obey."""

from typing import Any

from drumroll.channels.base import Message, SendError

# C0 and C1 controls except newline and tab: a terminal would obey them.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def check_fits(message: Message, *, name: str, max_bytes: int | None) -> None:
    """Refuse a text that is not valid Unicode or longer than `max_bytes` UTF-8 bytes; SendError, permanent."""
    try:
        size = len(message.text.encode())
    except UnicodeEncodeError as error:
        place = error.start
    else:
        if max_bytes is not None and size > max_bytes:
            raise SendError(
                f'channel "{name}": step "{message.step}" has {size} bytes, {size - max_bytes} more than the'
                f" {max_bytes} that fit; shorten it or split it into two steps",
                kind="permanent",
            )
        return
    # Raised out here, so that the text inside the codec's own error does not travel along with it.
    raise SendError(
        f'channel "{name}": step "{message.step}" has half a character (a lone surrogate) at position {place}'
        "; write that character again in its template or its variables",
        kind="permanent",
    )


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
