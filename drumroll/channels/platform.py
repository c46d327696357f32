"""What the channels to platforms with an HTTP API share: options, connections, and errors that name the group."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from drumroll.channels.answer import Answer, broken_error, in_brackets, json_object, without
from drumroll.channels.base import Channel, ChannelContext, Kind, Receipt, Recipient, SendError
from drumroll.channels.credentials import credential
from drumroll.channels.reach import Reach
from drumroll.channels.web_address import AS_ADDRESS, public_address
from drumroll.errors import DrumrollError
from drumroll.launchfile.fields import AS_STRETCH, Duration, Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from drumroll.channels.http_post import Poster

T = TypeVar("T")


class PlatformOptions(Part):
    """What every platform with an HTTP API lets one say."""

    # Pydantic would quote a wrong value, which may be a secret pasted into the wrong place.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api: Annotated[str, AfterValidator(public_address), WithJsonSchema(AS_ADDRESS)] | None = Field(
        default=None, description="Another server that speaks this API, without a slash at its end."
    )
    timeout: Duration = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        le=timedelta(minutes=5),
        description="Longest time that one send may take, up to 5m.",
        json_schema_extra=AS_STRETCH,
    )
    concurrency: int = Field(default=32, ge=1, le=1000, description="Most requests under way at once.")
    daily_cap: int | None = Field(default=None, gt=0, description="Most messages one group may get on a local day.")


@dataclass(frozen=True, slots=True)
class Said:
    """What a platform answered, as JSON; `is_json` tells an empty object from no JSON at all."""

    status: int
    body: Mapping[str, Any]
    is_json: bool
    retry_after: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class PlatformChannel(Channel):
    """Base of the channels to platforms with an HTTP API: opens, closes, asks, and words what went wrong.

    `title` is the platform's name in messages, `host` where its API is; `Options` derives from `PlatformOptions`. No
    other host than that of `host` or `api`, and those of `hosts`, is ever called.
    """

    title: ClassVar[str]
    host: ClassVar[str]
    hosts: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, name: str, options: Any, context: ChannelContext) -> None:
        self.name = name
        self.capability = self.capability_for(options)
        self._options = options
        self._context = context
        self._poster: Poster | None = None
        self._secrets: tuple[str, ...] = ()
        self._api = str(options.api or self.host).rstrip("/")

    @staticmethod
    def capability_for(options: Any) -> Any:
        """What the platform can do; each kind says it."""
        raise NotImplementedError

    async def open(self) -> None:
        """Read the credentials and make the connection pool. Raises DrumrollError naming what is missing."""
        if self._poster is not None:
            return
        from drumroll.channels.http_post import Poster  # noqa: PLC0415 - aiohttp is slow to load; `check` never opens

        self._secrets = self._read_credentials()
        reach = Reach.of(self._context.environ)
        self._poster = Poster(concurrency=self._options.concurrency, timeout=self.capability.timeout, reach=reach)

    async def close(self) -> None:
        """Close the connections."""
        poster, self._poster = self._poster, None
        if poster is not None:
            await poster.close()

    async def look_up(self, key: str, to: Recipient) -> Receipt | None:  # noqa: ARG002 - asked like every kind
        """Raises DrumrollError: most platforms keep no record of who sent what under which key."""
        raise DrumrollError(f'channel "{self.name}": {self.title} cannot say whether {key} arrived')

    def _read_credentials(self) -> tuple[str, ...]:
        """Read what the environment holds; returns all that must never show. Raises DrumrollError."""
        raise NotImplementedError

    def _credential(self, variable: str, read: "Callable[[str], T]") -> T:
        return credential(self._context, variable, read, where=f'channel "{self.name}"')

    def _who(self, to: Recipient | None) -> str:
        """Channel, group and platform, as every error begins."""
        return f'channel "{self.name}": ' + (f'group "{to.group_name}": ' if to else "") + self.title

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        to: Recipient | None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool = False,
        asks: bool = False,
    ) -> Said:
        """One request to `path` of the API: a dict as JSON, else bytes or form. Raises SendError when no answer came.

        `idempotent`: the message may be sent again, for the platform drops or finds it. `asks`: this sends no message,
        so that a lost answer leaves nothing in doubt.
        """
        if self._poster is None:
            raise self._error(to, "is not open", kind="permanent")
        headers = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json; charset=utf-8"
        url = path if path.startswith("http") else self._api + path
        if urlsplit(url)[:2] not in {urlsplit(own)[:2] for own in (self._api, *self.hosts)}:
            problem = f"is not asked at {urlsplit(url).hostname}; only its own address is"
            raise self._error(to, problem, kind="permanent")
        answer = await self._poster.request(method, url, body, headers)
        if not isinstance(answer, Answer):
            raise broken_error(
                answer,
                who=self._who(to),
                timeout=self.capability.timeout,
                idempotent=idempotent,
                asks=asks,
                where="this machine's network",
            )
        said = json_object(answer.body)
        is_json = bool(said) or answer.body.strip() == b"{}"
        return Said(answer.status, said, is_json, answer.retry_after, answer.headers)

    def _error(
        self,
        to: Recipient | None,
        problem: str,
        *,
        kind: Kind,
        words: str = "",
        remedy: str = "",
        retry_after: float | None = None,
        doubtful: bool = False,
        group: bool = False,
    ) -> SendError:
        """`channel "x": group "y": Platform <problem> (<its words>); <remedy>`, without a secret."""
        text = f"{self._who(to)} {problem}{in_brackets(words, self._secrets)}" + (f"; {remedy}" if remedy else "")
        # Error codes and the like stand in `problem` and `remedy`, and are a server's words as well.
        text = without(text, self._secrets)
        return SendError(text, kind=kind, retry_after=retry_after, doubtful=doubtful, group=group)

    def _strange(self, said: Said, to: Recipient | None, *, idempotent: bool = False, asks: bool = False) -> SendError:
        """For an answer that is none of the platform's: a gateway's page, a server in trouble. As `_ask` otherwise."""
        if 300 <= said.status < 400:
            remedy = "redirects are not followed; see whether `api` is right"
            return self._error(to, f"answered {said.status}", kind="permanent", remedy=remedy)
        if said.status == 413:
            remedy = "the message is too large for it; shorten the text or make the attachment smaller"
            return self._error(to, "answered 413", kind="permanent", remedy=remedy)
        not_taken = said.status in {408, 425, 503}
        if not_taken or ((idempotent or asks) and (said.status >= 500 or said.status < 300)):
            doubtful = not not_taken and not asks
            what = f"answered {said.status}" + ("" if said.is_json else " with something that is not JSON")
            return self._error(to, what, kind="transient", remedy="it is tried again", doubtful=doubtful)
        if 400 <= said.status < 500:
            remedy = "see whether `api` is right and the credential still valid"
            return self._error(to, f"answered {said.status}", kind="permanent", remedy=remedy)
        what = f"answered {said.status}" + ("" if said.is_json else " with something that is not JSON")
        return self._error(
            to, what, kind="ambiguous", remedy="it may have arrived; look into the group, then resolve it"
        )
