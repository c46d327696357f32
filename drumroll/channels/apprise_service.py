"""Apprise's services, one object per URL: which we take, what they are sent, and how a send went.

All that Apprise says of an outcome is True or False; why it was False stands in its log, in words that its plugins
share, and is read from there (Apprise 1.13, apprise/plugins/*.py). Apprise itself is loaded when it is needed.
"""

import logging
import re
import threading
from dataclasses import dataclass
from typing import Any

from drumroll.channels.base import Message
from drumroll.channels.credentials import by_address
from drumroll.channels.text import without_mentions

# Services that are asked over HTTP, each at its own servers or at a host that stands in the URL. Not here: what runs
# or writes on this machine (syslog, dbus, macosx, windows, …), what reads files of it (fcm, vapid, templates of
# workflows), other protocols, and services with a channel kind of their own.
_SERVICES = """
46elks apprise apprises atalk azure bark barks bluesky brevo bsky bulksms bulkvs burstsms chanify chime clickatell
clicksend d7sms dapnet dot eight00com elks evolution evolutions exotel flock flowtriq flowtriqs fluxer fluxers form
forms freemobile gchat gotify gotifys groupme guilded hassio hassios httpsms humhub humhubs ifttt jira join json jsons
kavenegar kook kumulos lametric lametrics lauther line mailersend mailgun mastodon mastodons misskey misskeys mmost
mmosts msg91 msgbird ncloud nclouds nctalk nctalks nexmo notica noticas notifiarr notifico notificos notifyre ntfy
ntfys o365 octopush onesignal opsgenie pagerduty pagertree parsep parseps pbul pinglet pinglets pingram pjet pjets
plivo postmark pover prowl psafer psafers push pushdeer pushdeers pushed pushme pushplus pushward pushy qq reddit
resend revolt ringc rocket rockets ryver schan sendgrid sendpulse serwersms ses session sessions seven sfr signal
signalgrid signals signl4 sinch smsc smseagle smseagles smsmanager smsmgr smtp2go sns sogs sparkpost spike splunk
spugpush spush stackfield strmlabs synology synologys threema toot toots trigv trigvs tweet twilio twist twitter viber
victorops voipms vonage webex wechat whatsapp wxpusher wxteams x xml xmls zoom zulip
"""
SERVICES = frozenset(_SERVICES.split())
_STATUS = re.compile(r"\berror=(\d{3})\b")
_NO_CONNECTION = re.compile("NewConnectionError|ConnectTimeoutError|NameResolutionError")
_IN_ANGLES = re.compile(r"<(?=[!@#]|at\b)")  # <!channel>, <@U123>, <at user_id="all">


@dataclass(slots=True)
class Heard:
    """What a send came to. `status`: the HTTP status of a refusal. `unconnected`: it certainly never left."""

    took_it: bool = False
    error: str = ""
    status: int | None = None
    unconnected: bool = False
    mistrusted: bool = False


class _Ear(logging.Filter):
    """Hears why a send of this thread failed. Nobody else hears: what Apprise logs holds addresses and texts."""

    def __init__(self) -> None:
        super().__init__()
        self._of_thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        heard: Heard | None = getattr(self._of_thread, "heard", None)
        if heard is not None:
            words = record.getMessage()
            if record.levelno >= logging.WARNING and (found := _STATUS.search(words)):
                heard.status = int(found[1])
            if words.startswith("Socket Exception"):
                heard.unconnected = _NO_CONNECTION.search(words) is not None
                heard.mistrusted = "CERTIFICATE_VERIFY_FAILED" in words
        return False

    def hear(self, service: Any, words: str) -> Heard:
        """Send, in this thread. Never raises: a plugin's own error may quote its address."""
        from apprise import NotifyType  # noqa: PLC0415 - slow to load; a channel that is open has it already

        self._of_thread.heard = heard = Heard()
        try:
            # Not `notify`: it trims texts, cuts them, repeats them and calls failures a success where the URL says so.
            heard.took_it = bool(
                service.send(body=words, title="", notify_type=NotifyType.INFO, body_format=service.notify_format)
            )
        except Exception as error:  # noqa: BLE001 - a plugin raises whatever it likes; told as ambiguous, by its type
            heard.error = type(error).__name__
        finally:
            self._of_thread.heard = None
        return heard


EAR = _Ear()


def listen() -> None:
    """Let nobody but us hear what Apprise and what it posts with log: addresses, and those are secrets."""
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.DEBUG)
    logger.addFilter(EAR)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)


def urls_in(value: str) -> dict[str | None, str]:
    """The URLs by group address, or the lone one under None. ValueError, without the value, for anything else."""
    shape = '{"group address": "Apprise URL", …}'

    def checked(url: Any) -> str:
        if not isinstance(url, str):
            raise ValueError(f"is no JSON object like {shape}")  # noqa: TRY004 - `credential` expects it
        service_of(url)
        return url

    return by_address(value, checked, shape=shape)


def service_of(url: str) -> Any:
    """Apprise's object for one URL. ValueError, without the URL, for one that it has not or that we do not take."""
    import apprise  # noqa: PLC0415 - takes its time; `check` never opens

    schema, colon, _ = url.partition("://")
    if not colon or schema.lower() not in SERVICES:
        raise ValueError("holds an Apprise URL of a service that is not asked over HTTP, or has a kind of its own here")
    asset = apprise.AppriseAsset(app_id="Drumroll", app_desc="Drumroll", async_mode=False, http_redirects=False)
    service: Any = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if service is None:
        raise ValueError("holds a URL that Apprise does not understand; see github.com/caronc/apprise/wiki")
    for problem, it_has in (
        ("would repeat or hide failures; leave `retry` and `optional` out of it", service.retry or service.optional),
        ("names several targets; give each group a URL of its own", len(service) != 1),
        ("would have texts cut; leave `overflow` out of it", service.overflow_mode.value != "upstream"),
        ("would trust any certificate; leave `verify` out of it", not service.verify_certificate),
        ("would follow redirects; leave `redirect` out of it", service.redirects),
    ):
        if it_has:
            raise ValueError(f"holds a URL that {problem}")
    return service


def words_of(message: Message, service: Any) -> str:
    """The text as the service is to get it."""
    from apprise import NotifyFormat  # noqa: PLC0415 - slow to load; a channel that is open has it already

    if message.format == "text":
        service.notify_format = NotifyFormat.TEXT
        return without_mentions(_IN_ANGLES.sub("<\u2060", message.text))
    if service.notify_format == NotifyFormat.MARKDOWN:
        return message.text
    from drumroll.channels.markdown import Markup, to_html  # noqa: PLC0415 - only where markdown is sent

    if service.notify_format == NotifyFormat.HTML:
        return to_html(message.text)
    return Markup(marks={}, link=lambda href, inner: f"{inner} ({href})", plain=str).write(message.text)
