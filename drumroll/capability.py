"""What a channel kind can do: read by the plan compiler, by `check` and by the sender."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

Format = Literal["text", "markdown"]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` messages in any `seconds`.

    Of the one `credential` that all groups of a channel share, of the `robot` that a group has to itself, or to one
    `group`.
    """

    limit: int
    seconds: float = 60.0
    per: Literal["credential", "robot", "group"] = "credential"


@dataclass(frozen=True, slots=True)
class Extent:
    """How large something is, and the most that fits; `of` says what makes it so, where it is not the text alone."""

    size: int
    most: int
    unit: Literal["bytes", "characters"]
    of: str = ""


class Written(Protocol):
    """What a platform counts of a text: with its escapes, its envelope, and the mention of everyone."""

    def __call__(self, text: str, of: Format, *, attached: bool, everyone: bool) -> Extent: ...


@dataclass(frozen=True, slots=True)
class Capability:
    """The rules of one channel.

    `max_bytes` counts UTF-8 bytes of the finished text, `max_chars` its UTF-16 code units, which are never fewer than
    its characters (None: no limit); `markdown_max_bytes` stands in for `max_bytes` where markdown has another limit,
    `caption_chars` for `max_chars` where the text goes below an attachment. `written` measures what becomes of a text
    on its way out, where a platform counts more than the text itself. `formats` are those a text may be written
    in, `attachments` how many files one message may carry, `attachment_bytes` the most bytes of each,
    `attachment_types` the endings of file names that it takes (empty: any).
    `pin` and `mention_all`: whether a step may ask for them; `pin_with_files`: also one with attachments;
    `mention_all_formats`: in which formats. `idempotent`: the platform takes a key and honours it, so
    that a doubtful send may be repeated. `look_up`: the platform can say afterwards whether a key arrived. `tracks`:
    the platform can say what became of a message that awaits somebody's tap. `unattended`: no person has to act.
    `direct`: a single member can be addressed, not only a group. `message_ids`: its receipts carry ids of the
    platform's. `lead` is how long before its instant a message must leave us. `timeout` bounds one send, in seconds.
    `rates` are what the platform allows; `daily_cap` and `monthly_cap` how many messages one group may get on a local
    day and in a calendar month (None: no limit).
    """

    max_bytes: int | None = None
    max_chars: int | None = None
    markdown_max_bytes: int | None = None
    written: Written | None = None
    formats: frozenset[Format] = frozenset({"text"})
    attachments: int = 0
    caption_chars: int | None = None
    attachment_bytes: int | None = None
    attachment_types: frozenset[str] = frozenset()
    pin: bool = False
    pin_with_files: bool = True
    mention_all: bool = False
    mention_all_formats: frozenset[Format] = frozenset({"text", "markdown"})
    idempotent: bool = False
    look_up: bool = False
    tracks: bool = False
    unattended: bool = True
    direct: bool = False
    message_ids: bool = False
    lead: timedelta = timedelta(0)
    timeout: float = 10.0
    concurrency: int = 32
    rates: tuple[Rate, ...] = ()
    daily_cap: int | None = None
    monthly_cap: int | None = None

    @property
    def per_minute(self) -> int | None:
        """How many messages its one credential may send in any 60 s; None where only groups are limited, or nothing."""
        whole = [rate for rate in self.rates if rate.per == "credential"]
        return min((max(1, int(rate.limit * 60 / rate.seconds)) for rate in whole), default=None)

    def most_bytes(self, of: Format) -> int | None:
        """Most UTF-8 bytes of a text in this format."""
        return self.markdown_max_bytes if of == "markdown" and self.markdown_max_bytes is not None else self.max_bytes

    def most_chars(self, *, attached: bool) -> int | None:
        """Most UTF-16 code units of a text, with an attachment or without."""
        return self.caption_chars if attached and self.caption_chars is not None else self.max_chars

    def too_long(self, text: str, of: Format, *, attached: bool, everyone: bool) -> Extent | None:
        """What of `text` is more than fits; None when all of it does. UnicodeEncodeError for half a character."""
        size, most = len(text.encode()), self.most_bytes(of)
        if most and size > most:
            return Extent(size, most, "bytes")
        fit = self.most_chars(attached=attached)
        if fit and (units := len(text.encode("utf-16-le")) // 2) > fit:
            return Extent(units, fit, "characters")
        if self.written is None:
            return None
        written = self.written(text, of, attached=attached, everyone=everyone)
        return written if written.most and written.size > written.most else None
