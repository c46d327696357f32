"""What a mail server's refusal, or its silence, means. Pure: plain values in, verdict out.

Sources: RFC 5321 (4.2 replies, 4.5.3.2 timeouts), RFC 3463 (enhanced codes), support.google.com/a/answer/3726730
(Gmail), docs.aws.amazon.com/ses/latest/dg/smtp-response-codes.html (Amazon SES).
"""

import re
from dataclasses import dataclass
from typing import Literal

from drumroll.channels.answer import in_brackets
from drumroll.channels.base import SendError

Security = Literal["starttls", "tls", "none"]
Stage = Literal["queue", "connect", "tls", "login", "sender", "recipient", "data", "end"]

_REFUSED = {
    "connect": "refused the connection",
    "tls": "refused to encrypt",
    "login": "refused the login",
    "sender": "refused the sender",
    "recipient": "refused the address",
}
# Gmail: "receiving mail too quickly", "Daily user sending limit exceeded"; SES: "Throttling failure: Maximum sending
# rate exceeded", "Daily message quota exceeded", "Too many concurrent SMTP connections"; QQ and 163: 頻率.
_RATE = re.compile(
    r"\brate\b|throttl|too quickly|too fast|too many (?!recipients)|(?:sending|message|relay|mail) (?:limit|quota)"
    r"|limit exceeded|频率|頻率",
    re.IGNORECASE,
)
_DAILY = re.compile(r"\bdaily\b|\b5\.4\.5\b", re.IGNORECASE)
_TOO_LARGE = re.compile(r"^5\.(?:2\.3|3\.4)\b")
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Failure:
    """How a mail was not delivered: how far it came, and the server's `code` and `words` (None: it said nothing).

    `late`: time ran out. `mistrusted`: a bad certificate. `refused`: we did not even try, for it leads to an address
    that this machine must not be made to call. `lacking`: what the server cannot do and we need, with its remedy.
    """

    stage: Stage
    code: int | None = None
    words: str = ""
    late: bool = False
    mistrusted: bool = False
    refused: bool = False
    lacking: str = ""


def failure_error(failure: Failure, *, who: str, timeout: float, secrets: tuple[str, ...] = ()) -> SendError:
    """The error for a mail that was not, or perhaps not, delivered.

    Only when all of it was on its way, the final dot included, may it have arrived: `ambiguous`. A refusal for haste
    is `limited`, other 4xx are `transient`, 5xx `permanent`.
    """
    if failure.lacking:
        return SendError(f"{who} {failure.lacking}", kind="permanent")
    if failure.refused:
        remedy = "if it is a machine of yours, list its name in the environment variable DRUMROLL_PRIVATE_HOSTS"
        return SendError(f"{who} leads to a private address; {remedy}", kind="permanent")
    if failure.mistrusted:
        remedy = "renew it, or write the host's name as the certificate has it"
        return SendError(f"{who} shows a certificate that does not verify; {remedy}", kind="permanent")
    if failure.code is None:
        return _silence(failure, who, timeout)
    said = f"with {failure.code}{in_brackets(failure.words, secrets)}"
    if not 400 <= failure.code < 600:
        return _no_reply_of_smtp(failure, who)
    problem = f"{who} {_REFUSED.get(failure.stage, 'refused the message')} {said}"
    if failure.stage != "login" and _RATE.search(failure.words):
        wait = _HOUR if _DAILY.search(failure.words) else None
        to_group = failure.words.startswith("4.2.1") and "receiving" in failure.words
        return SendError(f"{problem}; it waits", kind="limited", retry_after=wait, group=to_group)
    if failure.code < 500:
        return SendError(f"{problem}; it is tried again", kind="transient")
    return SendError(f"{problem}; {_remedy(failure)}", kind="permanent")


def _silence(failure: Failure, who: str, timeout: float) -> SendError:
    if failure.stage == "end":
        what = (
            f"did not confirm the mail for {timeout:g} s" if failure.late else "broke off before it confirmed the mail"
        )
        remedy = "it may have arrived: look into the mailbox, then resolve it"
        return SendError(f"{who} {what}; {remedy}", kind="ambiguous")
    if failure.stage == "queue":
        remedy = "it is tried again; allow more time or more connections where this happens often"
        return SendError(f"{who} had no free connection for {timeout:g} s; {remedy}", kind="transient")
    if failure.stage == "connect":
        what = f"let nobody in for {timeout:g} s" if failure.late else "cannot be reached"
        return SendError(f"{who} {what}; check `host`, `port` and whether the server runs", kind="transient")
    what = f"gave no answer for {timeout:g} s" if failure.late else "broke the connection off"
    return SendError(f"{who} {what} before it had the mail; it is tried again", kind="transient")


def _no_reply_of_smtp(failure: Failure, who: str) -> SendError:
    if failure.stage == "end":
        remedy = "it may have arrived: look into the mailbox, then resolve it"
        return SendError(f"{who} answered the mail with no reply of SMTP; {remedy}", kind="ambiguous")
    return SendError(f"{who} does not speak SMTP; check `host`, `port` and `security`", kind="permanent")


def _remedy(failure: Failure) -> str:
    words = failure.words
    if failure.stage == "login":
        return "check the user name and the password; many providers want one that is made for programs"
    if failure.code == 530:
        starttls = "starttls" in words.lower()
        return "write `security: starttls`" if starttls else "it wants a login; set `user_env` and `password_env`"
    if _TOO_LARGE.match(words) or (failure.code == 552 and not words.startswith("5.2.2")):
        return "shorten the text or make the attachments smaller"
    if failure.code == 552:
        return "the mailbox is full; ask its owner to make room"
    if failure.stage == "recipient":
        return "see whether the address is right, and whether the list takes mail from `from`"
    if failure.stage == "sender":
        return "see whether this login may send as `from`"
    if failure.stage in {"connect", "tls"}:
        return "see whether the server takes mail from this machine on this port"
    return "it takes the mail for unwanted; see its words, and SPF and DKIM of the sender's domain"
