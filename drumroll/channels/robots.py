"""Group robots behind webhooks: each group has its own, and the address that its group's owner copies is the secret.

What WeCom, Feishu and DingTalk share: where the robots are read from, which one serves a group, and what of an answer
is judged. They answer refusals with HTTP 200 (WeCom: developer.work.weixin.qq.com/document/path/99110).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from pydantic import Field

from drumroll.capability import Extent
from drumroll.channels.base import Kind, Message, Receipt, Recipient, SendError
from drumroll.channels.credentials import VariableName, by_address, fingerprint, remedy_for_address, token_like
from drumroll.channels.platform import PlatformChannel, PlatformOptions, Said

_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True)
class Robot:
    """One group's robot: its key or token, and what its requests are signed with (None: they are not)."""

    token: str = field(repr=False)
    secret: str | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a platform's error code means. `wait`: seconds, None where the sender's own backoff will do."""

    remedy: str
    kind: Kind = "permanent"
    wait: float | None = None


class RobotOptions(PlatformOptions):
    """What every kind of group robots lets one say."""

    robots_env: VariableName = Field(
        description=(
            "Environment variable that holds the webhook address or key of a robot, for a group without an `address`; "
            "for several groups, a JSON object of them by the groups' `address`."
        )
    )


class SignedRobotOptions(RobotOptions):
    """The same, for robots that may ask for signatures."""

    secret_env: VariableName | None = Field(
        default=None,
        description=(
            "Environment variable that holds the signing secret of the robots that have none beside their address "
            '({"url": …, "secret": …}).'
        ),
    )


class RobotChannel(PlatformChannel):
    """Base of the group robots. A lone robot serves groups without an address; of several, each has its own address.

    `kind` names the kind in buckets, `path` is where webhook addresses lead, `parameter` what holds the token there
    ("" when it is the end of the path). `refusals` are the platform's error codes.
    """

    kind: ClassVar[str]
    path: ClassVar[str]
    parameter: ClassVar[str]
    refusals: ClassVar[Mapping[int, Refusal]]

    def _read_credentials(self) -> tuple[str, ...]:
        secret_env = getattr(self._options, "secret_env", None)
        secret = self._credential(secret_env, token_like) if secret_env else None
        found = self._credential(self._options.robots_env, self._robots_in)
        self._robots = {
            address: Robot(robot.token, robot.secret or secret) if self._signs else robot
            for address, robot in found.items()
        }
        robots = self._robots.values()
        return tuple({part for robot in robots for part in (robot.token, robot.secret) if part})

    @property
    def _signs(self) -> bool:
        return isinstance(self._options, SignedRobotOptions)

    def _robots_in(self, value: str) -> dict[str | None, Robot]:
        """The robots by group address, or the lone one under None. ValueError, without the value, for anything else."""
        shape = '{"group address": "webhook address", …}'
        return by_address(value, self._robot_in, shape=shape, parts=frozenset({"url"}))

    def _robot_in(self, written: Any) -> Robot:
        secret = None
        if isinstance(written, dict) and self._signs and written.keys() <= {"url", "secret"}:
            written, secret = written.get("url"), written.get("secret")
        if not isinstance(written, str) or not isinstance(secret, str | None):
            shape = 'a webhook address or {"url": …, "secret": …}' if self._signs else "a webhook address"
            raise ValueError(f"holds something that is not {shape}")  # noqa: TRY004 - `credential` expects it
        return Robot(self._token_in(token_like(written)), token_like(secret) if secret else None)

    def _token_in(self, written: str) -> str:
        token = written
        if "://" in written:
            parts = urlsplit(written)
            servers = {urlsplit(server)[:2] for server in (self._api, self.host)}
            if (parts.scheme, parts.netloc) not in servers:
                raise ValueError("holds a webhook address on another server; say which with `api`")
            found = parse_qs(parts.query).get(self.parameter, [""]) if self.parameter else [parts.path]
            token = found[0].removeprefix(self.path) if parts.path.startswith(self.path) else ""
        if not _TOKEN.fullmatch(token):
            where = f"{self.host}{self.path}" + (f"?{self.parameter}=" if self.parameter else "")
            raise ValueError(f"holds something that is not a webhook address; it begins with {where}")
        return token

    def bucket(self, to: Recipient) -> str:
        """The group's own robot pays."""
        robot = self._found(to)
        return f"{self.kind}:{fingerprint(robot.token)}" if robot else ""

    async def verify(self, to: Recipient | None) -> str:
        """That the robots' addresses, or this group's, are there and well-formed; nothing is called."""
        harmless = "a robot has no harmless call, try `test-send`"
        if to is None:
            count = len(self._robots)
            return f"{count} robot{'s have' if count > 1 else ' has'} a well-formed address; {harmless}"
        signed = " and its secret" if self._robot(to).secret else ""
        return f"the address of its robot{signed} is there; {harmless}"

    def _found(self, to: Recipient) -> Robot | None:
        return self._robots.get(to.address or None)

    def _robot(self, to: Recipient) -> Robot:
        """The robot that speaks in this group. Raises SendError, permanent."""
        if to.member is not None:
            remedy = "send the step to the group, or put the group on a channel that reaches single members"
            raise self._error(to, "speaks to a whole group only", kind="permanent", remedy=remedy)
        robot = self._found(to)
        if robot is None:
            remedy = remedy_for_address(self._robots, self._options.robots_env, "robot")
            raise self._error(to, "has no robot for it", kind="permanent", remedy=remedy)
        return robot

    def _judged(self, said: Said, to: Recipient, code: Any, words: Any, *, asks: bool = False) -> Said:
        """`said` itself when `code` is 0. Raises SendError for the platform's refusal, or for what is none of its."""
        if isinstance(code, bool) or not isinstance(code, int) or (code == 0 and said.status >= 300):
            raise self._strange(said, to, asks=asks)
        if code == 0:
            return said
        raise self._refused(to, code, str(words or ""), self.refusals.get(code, Refusal("see what it asks for")))

    def _refused(self, to: Recipient, code: int, words: str, refusal: Refusal) -> SendError:
        # Not `group=True`: the robot is the credential, and whoever else speaks through it must wait as well.
        return self._error(
            to,
            f"answered {code}",
            kind=refusal.kind,
            words=words,
            retry_after=refusal.wait,
            remedy=refusal.remedy,
        )


def request_extent(body: Mapping[str, Any], most: int) -> Extent:
    """What a request of at most `most` bytes comes to, with its markup and JSON's own signs."""
    size = len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
    return Extent(size, most, "bytes", " with its markup")


def receipt(message: Message) -> Receipt:
    """Robots get no message id back: our own key stands for it."""
    return Receipt(message_id=message.key)
