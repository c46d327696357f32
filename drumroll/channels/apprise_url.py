"""The long tail: any service that Apprise speaks to, by its Apprise URL. Source: github.com/caronc/apprise/wiki.

Apprise posts through `requests`, in threads of ours.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from pydantic import ConfigDict, Field

from drumroll.capability import Capability, Rate
from drumroll.channels.apprise_service import EAR, Heard, listen, service_of, urls_in, words_of
from drumroll.channels.base import Channel, ChannelContext, Kind, Message, Receipt, Recipient, SendError
from drumroll.channels.credentials import VariableName, credential, fingerprint, remedy_for_address
from drumroll.channels.reach import Reach
from drumroll.channels.text import check_can
from drumroll.errors import DrumrollError
from drumroll.launchfile.fields import AS_STRETCH, Duration, Part

_REMEDIES = {
    401: "check the credentials in its URL",
    403: "check the credentials in its URL, and whether they may write there",
    404: "check its URL; the address may be gone",
    410: "the address is gone; get a new one",
    413: "shorten the text",
}


class AppriseChannel(Channel):
    """A message to whatever an Apprise URL leads to; of several URLs, a group's `address` says which.

    A lone URL is for groups without an `address`, so that a staff group and a group of members that both lead there are
    found out. Know what you give up: Apprise hands back no message ids, takes no keys, and believes a service that
    answers 200 (WeCom refuses messages that way, and Apprise calls them sent). Where a service has a channel kind of
    its own, use that. A failure that Apprise does not explain is `ambiguous`: the message may have arrived. In
    `format: text` @names and <!channel> mention nobody; what else a service takes for markup, only Apprise knows.
    """

    class Options(Part):
        """Which URLs, and what their services bear."""

        # Pydantic would quote a wrong value, which may be a secret pasted into the wrong place.
        model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

        url_env: VariableName = Field(
            description=(
                "Environment variable that holds an Apprise URL, for a group without an `address`; for several groups, "
                "a JSON object of URLs by the groups' `address`."
            )
        )
        timeout: Duration = Field(
            default=timedelta(seconds=20),
            gt=timedelta(0),
            le=timedelta(minutes=5),
            description="Longest time that one send may take, up to 5m.",
            json_schema_extra=AS_STRETCH,
        )
        concurrency: int = Field(default=4, ge=1, le=100, description="Most messages under way at once.")
        max_chars: int = Field(
            default=32_768, gt=0, description="Most characters of a text; each service has a limit of its own besides."
        )
        per_minute: int = Field(default=10, gt=0, description="Most messages to one URL in 60 s.")
        daily_cap: int | None = Field(default=None, gt=0, description="Most messages one group may get on a local day.")

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """What the options promise on the service's behalf: the URL is a secret that `check` does not know."""
        return Capability(
            max_chars=options.max_chars,
            formats=frozenset({"text", "markdown"}),
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rates=(Rate(options.per_minute),),
            daily_cap=options.daily_cap,
        )

    def __init__(self, name: str, options: Options, context: ChannelContext) -> None:
        self.name = name
        self.capability = self.capability_for(options)
        self._options = options
        self._context = context
        self._threads: ThreadPoolExecutor | None = None
        self._urls: dict[str | None, str] = {}
        self._reach = Reach()

    async def open(self) -> None:
        """Read the URLs. Raises DrumrollError, without quoting one, for what is missing or will not do."""
        if self._threads is not None:
            return
        listen()
        where = f'channel "{self.name}"'
        # In a thread: loading Apprise with all its plugins takes a second.
        self._urls = await asyncio.to_thread(credential, self._context, self._options.url_env, urls_in, where=where)
        self._reach = Reach.of(self._context.environ)
        self._threads = ThreadPoolExecutor(self._options.concurrency, thread_name_prefix="apprise")

    async def send(self, message: Message) -> Receipt:
        """One message, whole and in one piece, or none. The receipt holds our own key. Raises SendError."""
        check_can(message, self.capability, name=self.name)
        to, under_way = message.recipient, None
        try:
            async with asyncio.timeout(self.capability.timeout):
                service = await self._service(to)
                words = words_of(message, service)
                self._check_fits(message, service, words)
                under_way = self._opened(to).submit(EAR.hear, service, words)
                heard = await asyncio.shield(asyncio.wrap_future(under_way))
        except TimeoutError:
            what = f"Apprise gave no answer for {self.capability.timeout:g} s"
            if under_way is None or under_way.cancel():
                raise self._error(to, what, "it had no turn and is tried again", kind="transient") from None
            raise self._error(to, what, "it may have arrived; look into the group, then resolve it") from None
        if not heard.took_it:
            raise self._refusal(to, str(service.service_name), heard)
        return Receipt(message_id=message.key)

    async def look_up(self, key: str, to: Recipient) -> Receipt | None:  # noqa: ARG002 - asked like every kind
        """Raises DrumrollError: Apprise sends and asks nothing."""
        raise DrumrollError(f'channel "{self.name}": Apprise cannot say whether {key} arrived')

    async def verify(self, to: Recipient | None) -> str:
        """That the URLs, or the group's one, are understood and may be called; nothing is called."""
        harmless = "Apprise has no harmless call, try `test-send`"
        if to is None:
            names = sorted({str(service_of(url).service_name) for url in self._urls.values()})
            return f"{len(self._urls)} URL{'s' if len(self._urls) > 1 else ''} ({', '.join(names)}); {harmless}"
        service = await self._service(to)
        return f"{service.service_name}, up to {self._most(service):,} characters; {harmless}"

    def bucket(self, to: Recipient) -> str:
        """The group's URL pays."""
        url = self._urls.get(to.address or None)
        return f"apprise:{fingerprint(url)}" if url else ""

    async def close(self) -> None:
        """Send nothing more; what is under way ends by itself."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    def _opened(self, to: Recipient) -> ThreadPoolExecutor:
        if self._threads is None:
            raise self._error(to, "Apprise is not open", kind="permanent")
        return self._threads

    async def _service(self, to: Recipient) -> Any:
        """Apprise's object for the group's URL: a new one, for they are not safe in several threads."""
        if to.member is not None:
            remedy = "send the step to the group, or put the group on a channel that reaches single members"
            raise self._error(to, "Apprise reaches no single member", remedy, kind="permanent")
        url = self._urls.get(to.address or None)
        if url is None:
            remedy = remedy_for_address(self._urls, self._options.url_env, "URL")
            raise self._error(to, "Apprise has no URL for it", remedy, kind="permanent")
        service = service_of(url)
        service.socket_connect_timeout = service.socket_read_timeout = self.capability.timeout
        # Apprise's own patience between messages would hold a thread; `per_minute` is known to the plan.
        service.request_rate_per_sec = 0
        if "host" in service.template_tokens and not await self._may_call(str(service.host or "")):
            what = f"{service.service_name} leads to a private address"
            remedy = "if it is a machine of yours, list its name in the environment variable DRUMROLL_PRIVATE_HOSTS"
            raise self._error(to, what, remedy, kind="permanent")
        return service

    async def _may_call(self, host: str) -> bool:
        # Apprise looks the name up once more: a name server that changes its mind in between gets through.
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), None)
        except (OSError, UnicodeError):
            return True  # it leads nowhere, and Apprise will say so
        return all(self._reach.allows(host, str(each[4][0])) for each in found)

    def _most(self, service: Any) -> int:
        return min(int(service.body_maxlen), self._options.max_chars)

    def _check_fits(self, message: Message, service: Any, words: str) -> None:
        """Apprise would cut what is too long, or leave that to the service."""
        lines, most_lines = words.count("\n") + 1, int(service.body_max_line_count)
        for size, most, unit in (
            (len(words), int(service.body_maxlen), "characters"),
            (lines, most_lines or lines, "lines"),
        ):
            if size > most:
                what = f'{service.service_name} cannot take step "{message.step}": it has {size} {unit}'
                remedy = f"{size - most} more than the {most} that fit; shorten it or split it into two steps"
                raise self._error(message.recipient, what, remedy, kind="permanent")

    def _refusal(self, to: Recipient, service: str, heard: Heard) -> SendError:
        look = "it may have arrived; look into the group, then resolve it"
        if heard.error:
            return self._error(to, f"{service} failed with {heard.error}", look)
        if heard.mistrusted:
            return self._error(to, f"{service} shows a certificate that does not verify", "renew it", kind="permanent")
        if heard.unconnected:
            remedy = "check its URL and whether it runs"
            return self._error(to, f"{service} cannot be reached", remedy, kind="transient")
        status = heard.status or 0
        what = f"{service} answered {status}" if status else f"{service} did not take it, and Apprise does not say why"
        if status == 429:
            return self._error(to, what, "it waits", kind="limited")
        if status in {408, 425, 503}:
            return self._error(to, what, "it is tried again", kind="transient")
        if 300 <= status < 500:
            moved = "redirects are not followed; check its URL"
            remedy = moved if status < 400 else _REMEDIES.get(status, "see what the service asks for")
            return self._error(to, what, remedy, kind="permanent")
        return self._error(to, what, look)

    def _error(self, to: Recipient, what: str, remedy: str = "", *, kind: Kind = "ambiguous") -> SendError:
        text = f'channel "{self.name}": group "{to.group_name}": {what}' + (f"; {remedy}" if remedy else "")
        return SendError(text, kind=kind)
