"""Messages for the tests of channels."""

from typing import Any

from drumroll.channels.base import Message, Recipient


def message(key: str = "drm_0001", text: str = "Tonight at eight.", **changes: Any) -> Message:
    changed = {
        "edition": "demo@2026-12-12",
        "step": "eve",
        "occurrence": 0,
        "number": 3,
        "due": "2026-12-11T15:00:00Z",
        "sent_at": "2026-12-11T15:00:00.120Z",
        "recipient": Recipient(group="taipei", group_name="台北讀書會", address="room-1"),
    } | changes
    return Message(key=key, text=text, **changed)


def to_member(**changes: Any) -> Message:
    return message(recipient=Recipient("taipei", "台北讀書會", member="u-7", member_name="小美"), **changes)
