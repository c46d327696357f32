"""A message as Internet mail: headers, text, HTML, attachments (RFC 5322, MIME). Pure: values in, bytes out."""

import mimetypes
import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from drumroll.channels.base import Message

# Seven bits, so that no server has to know 8BITMIME.
_LETTER = SMTP.clone(cte_type="7bit")
# Where a line is full, Python writes addresses and ids as encoded words, and they are none any more. 998 are allowed.
_WIRE = _LETTER.clone(max_line_length=998)
_LONGEST_SHOWN = 78  # characters of a subject, and of a name: servers refuse lines over 998 bytes

_ATOM = r"[^\s@<>\"(),:;\\\[\].\x00-\x20\x7f]+"
_LABEL = r"[^\W_](?:[^\W_]|-){0,62}"
_MAILBOX = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")


def mailbox(text: str) -> str:
    """`text` itself. ValueError unless it is one plain address like `name@example.org`."""
    if len(text) > 254 or not text.isprintable() or not _MAILBOX.fullmatch(text):
        raise ValueError("is not an e-mail address; write it like list@example.org")
    return text


def sender_of(text: str) -> Address:
    """The address in `Name <name@example.org>` or `name@example.org`. ValueError for anything else."""
    name, angle, rest = text.strip().rpartition("<")
    spec = mailbox(rest.removesuffix(">") if angle else rest)
    if not spec.isascii():
        raise ValueError("has characters that not every server takes; write the domain as xn--…")
    return Address(display_name=one_line(name).strip('"'), addr_spec=spec)


def one_line(text: str) -> str:
    """`text` as a header can hold it: no control characters, single blanks."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def headline(message: Message) -> str:
    """The first line of the text without its markup, shortened to 78 characters at a word; the body has it whole."""
    text = message.text
    if message.format == "markdown":
        from drumroll.channels.markdown import to_words  # noqa: PLC0415 - only where markdown is sent

        text = to_words(text)
    line = next((found for each in text.splitlines() if (found := one_line(each))), message.step)
    return _shortened(line)


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST_SHOWN:
        return line
    cut = line[: _LONGEST_SHOWN - 1]
    # Chinese has no blanks: a cut at the last one could leave a word or two.
    at_word = cut.rpartition(" ")[0] if line[len(cut)] != " " else cut
    return (at_word if len(at_word) > len(cut) // 2 else cut) + "…"


def message_id(key: str, sender: Address) -> str:
    """`<key@domain-of-sender>`: the same on every attempt. ValueError for a key that does not fit."""
    if not re.fullmatch(r"[A-Za-z0-9_+=-]+(?:\.[A-Za-z0-9_+=-]+)*", key):
        raise ValueError(f"the key {key!a} does not fit a Message-ID")
    return f"<{key}@{sender.domain}>"


def letter(
    message: Message,
    *,
    sender: Address,
    to: str,
    subject: str | None = None,
    reply_to: Address | None = None,
    unsubscribe: str | None = None,
) -> bytes:
    """The whole mail, lines ending in CRLF, without the dots that SMTP doubles.

    Text is text/plain; markdown has HTML beside it. `Auto-Submitted` keeps holiday notes away (RFC 3834).
    """
    mail = EmailMessage(policy=_LETTER)
    mail["From"] = sender
    member = message.recipient.member is not None
    name = message.recipient.member_name if member else message.recipient.group_name
    user, _, domain = to.rpartition("@")
    mail["To"] = Address(display_name=_shortened(one_line(name or "")), username=user, domain=domain)
    if reply_to is not None:
        mail["Reply-To"] = reply_to
    mail["Subject"] = one_line(subject) if subject else headline(message)
    mail["Date"] = format_datetime(datetime.fromisoformat(message.sent_at))
    mail["Message-ID"] = message_id(message.key, sender)
    mail["Auto-Submitted"] = "auto-generated"
    if unsubscribe is not None:
        mail["List-Unsubscribe"] = f"<{unsubscribe}>"
    # A mail's text always ends in a line break: with one of our own, those of the text stay as they are.
    mail.set_content(message.text + "\n")
    if message.format == "markdown":
        from drumroll.channels.markdown import to_html  # noqa: PLC0415 - only where markdown is sent

        page = f"<!DOCTYPE html>\n<html><body>\n{to_html(message.text)}\n</body></html>\n"
        mail.add_alternative(page, subtype="html")
    for file in message.attachments:
        kind, packed = mimetypes.guess_type(file.name)
        main, _, sub = (kind if kind and not packed else "application/octet-stream").partition("/")
        mail.add_attachment(file.content, maintype=main, subtype=sub, filename=one_line(file.name))
    return mail.as_bytes(policy=_WIRE.clone(utf8=not to.isascii()))
