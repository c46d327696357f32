"""Posts every message as JSON to one address, signed after Standard Webhooks.

The address comes from the operator's own launch file or environment, never from members: this machine itself may be
named in it, for bridges usually run there; see `reach` for other private addresses. Redirects are not followed, so no
receiver can send a message elsewhere.
"""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import urlsplit

import orjson
from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from drumroll.capability import Capability, Rate
from drumroll.channels.answer import Answer, broken_error
from drumroll.channels.base import Channel, ChannelContext, Message, Receipt, Recipient, SendError
from drumroll.channels.credentials import VariableName, credential, fingerprint
from drumroll.channels.reach import Reach, is_loopback
from drumroll.channels.standard_webhooks import signature, signing_key
from drumroll.channels.text import as_record, check_can
from drumroll.channels.web_address import AS_ADDRESS, host_of, public_address, secret_parts, web_address
from drumroll.channels.webhook_answer import read_answer
from drumroll.errors import DrumrollError
from drumroll.launchfile.fields import AS_STRETCH, Duration, Part

if TYPE_CHECKING:
    from drumroll.channels.http_post import Poster


class WebhookChannel(Channel):
    """POST `{"type": "drumroll.announcement", "timestamp", "data": {…}}`; the webhook-id is the message's key.

    `data` holds key, edition, step, occurrence, number, due, sent_at, group, member, text and the group's address.
    """

    class Options(Part):
        """Where to post, how to sign and what the receiver promises."""

        # Pydantic would quote a wrong value, which may be a secret pasted into the wrong place.
        model_config = ConfigDict(
            extra="forbid",
            frozen=True,
            hide_input_in_errors=True,
            json_schema_extra={"oneOf": [{"required": ["url"]}, {"required": ["url_env"]}]},
        )

        url: Annotated[str, AfterValidator(public_address), WithJsonSchema(AS_ADDRESS)] | None = Field(
            default=None, repr=False, description="The address, where it is no secret. Else `url_env`."
        )
        url_env: VariableName | None = Field(default=None, description="Environment variable that holds the address.")
        secret_env: VariableName | None = Field(
            default=None, description="Environment variable that holds the signing secret (whsec_…)."
        )
        timeout: Duration = Field(
            default=timedelta(seconds=10),
            gt=timedelta(0),
            le=timedelta(minutes=5),
            description="Longest time that one send may take, up to 5m.",
            json_schema_extra=AS_STRETCH,
        )
        idempotent: bool = Field(
            default=False, description="Whether the receiver drops a `webhook-id` that it has seen before."
        )
        concurrency: int = Field(default=32, ge=1, le=1000, description="Most requests under way at once.")
        max_bytes: int | None = Field(default=None, gt=0, description="Most UTF-8 bytes of text the receiver takes.")
        per_minute: int | None = Field(default=None, gt=0, description="Most messages the receiver takes in 60 s.")
        daily_cap: int | None = Field(default=None, gt=0, description="Most messages one group may get on a local day.")

        @model_validator(mode="after")
        def _one_address(self) -> Self:
            if (self.url is None) == (self.url_env is None):
                raise ValueError("a webhook needs exactly one of url and url_env")
            return self

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """What the options promise on the receiver's behalf."""
        return Capability(
            max_bytes=options.max_bytes,
            idempotent=options.idempotent,
            direct=True,
            timeout=options.timeout.total_seconds(),
            concurrency=options.concurrency,
            rates=() if options.per_minute is None else (Rate(options.per_minute),),
            daily_cap=options.daily_cap,
        )

    def __init__(self, name: str, options: Options, context: ChannelContext) -> None:
        self.name = name
        self.capability = self.capability_for(options)
        self._options = options
        self._context = context
        self._poster: Poster | None = None
        self._url = ""
        self._who = f'channel "{name}"'
        self._key: bytes | None = None
        self._secrets: tuple[str, ...] = ()

    async def open(self) -> None:
        """Read address and secret, make the connection pool. Raises DrumrollError naming what is missing."""
        if self._poster is not None:
            return
        from drumroll.channels.http_post import Poster  # noqa: PLC0415 - aiohttp is slow to load; `check` never opens

        options = self._options
        self._url = options.url or self._read(str(options.url_env), web_address)
        self._key = self._read(options.secret_env, signing_key) if options.secret_env else None
        self._who = f'channel "{self.name}": {host_of(self._url)}'
        self._secrets = secret_parts(self._url, self._context.environ.get(options.secret_env or "", ""))
        host = urlsplit(self._url).hostname or ""
        reach = Reach.of(self._context.environ, *([host] if is_loopback(host) else ()))
        self._poster = Poster(concurrency=options.concurrency, timeout=self.capability.timeout, reach=reach)

    async def send(self, message: Message) -> Receipt:
        """Post one message. Raises SendError; see `read_answer` for what which answer means.

        Without a connection the message certainly did not arrive: transient. A connection that broke or stayed silent
        afterwards leaves it open: ambiguous, unless the receiver drops repeated keys.
        """
        check_can(message, self.capability, name=self.name)
        if not (message.key and message.key.isascii() and message.key.isprintable()):
            raise SendError(f'channel "{self.name}": the key {message.key!a} does not fit a header', kind="permanent")
        if self._poster is None:
            raise SendError(f'channel "{self.name}" is not open', kind="permanent")
        body = orjson.dumps(_payload(message))
        answer = await self._poster.post(self._url, body, self._headers(message.key, body))
        if not isinstance(answer, Answer):
            raise broken_error(
                answer, who=self._who, timeout=self.capability.timeout, idempotent=self.capability.idempotent
            )
        return read_answer(
            answer,
            key=message.key,
            who=self._who,
            idempotent=self.capability.idempotent,
            secrets=self._secrets,
            rated=bool(self.capability.rates),
        )

    async def look_up(self, key: str, to: Recipient) -> Receipt | None:  # noqa: ARG002 - asked like every kind
        """Raises DrumrollError: a webhook takes messages and answers no questions."""
        raise DrumrollError(f'channel "{self.name}": a webhook cannot say whether {key} arrived')

    async def verify(self, to: Recipient | None) -> str:  # noqa: ARG002 - asked like every kind
        """Its address and secret are there and well-formed; there is no call that no member notices."""
        return f"{host_of(self._url)}: address and secret are there; a webhook has no harmless call, try `test-send`"

    def bucket(self, to: Recipient) -> str:  # noqa: ARG002 - one address for every group
        """The address pays, whoever it is for."""
        return f"webhook:{fingerprint(self._url)}"

    async def close(self) -> None:
        """Close the connections."""
        poster, self._poster = self._poster, None
        if poster is not None:
            await poster.close()

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        # Not `message.sent_at`: receivers refuse timestamps that are minutes away from their own clock.
        now = int(time.time())
        headers = {"Content-Type": "application/json", "webhook-id": key, "webhook-timestamp": str(now)}
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, key, now, body)
        return headers

    def _read(self, variable: str, read: Any) -> Any:
        return credential(self._context, variable, read, where=f'channel "{self.name}"')


def _payload(message: Message) -> dict[str, Any]:
    data = as_record(message) | {"address": message.recipient.address}
    return {"type": "drumroll.announcement", "timestamp": message.sent_at, "data": data}
