"""Which channel kinds there are. Looking a kind up imports that one module and nothing heavier."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar, Protocol, cast

from drumroll.capability import Capability
from drumroll.channels.base import Channel
from drumroll.errors import DrumrollError
from drumroll.launchfile.fields import Part

KINDS: dict[str, str] = {
    "apprise": "drumroll.channels.apprise_url:AppriseChannel",
    "console": "drumroll.channels.console:ConsoleChannel",
    "dingtalk": "drumroll.channels.dingtalk:DingtalkChannel",
    "discord": "drumroll.channels.discord:DiscordChannel",
    "email": "drumroll.channels.email_smtp:EmailChannel",
    "feishu": "drumroll.channels.feishu:FeishuChannel",
    "file": "drumroll.channels.jsonl_file:FileChannel",
    "hand_off": "drumroll.channels.hand_off:HandOffChannel",
    "matrix": "drumroll.channels.matrix:MatrixChannel",
    "slack": "drumroll.channels.slack:SlackChannel",
    "telegram": "drumroll.channels.telegram:TelegramChannel",
    "webhook": "drumroll.channels.webhook:WebhookChannel",
    "wecom_customer_group": "drumroll.channels.wecom_customer_group:WecomCustomerGroupChannel",
    "wecom_robot": "drumroll.channels.wecom_robot:WecomRobotChannel",
}


class ChannelKind(Channel, Protocol):
    """A channel class as the registry hands it out: its options model, and its capability before anything is opened."""

    Options: ClassVar[type[Part]]

    @staticmethod
    def capability_for(options: Any) -> Capability:
        """What a channel with these options can do; every instance says the same in `capability`."""
        ...


def channel_class(kind: str) -> type[ChannelKind]:
    """The class behind `kind`. Raises DrumrollError with the nearest known kind."""
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, n=1)
        remedy = f'did you mean "{near[0]}"?' if near else f"the kinds are {', '.join(sorted(KINDS))}"
        raise DrumrollError(f'unknown channel kind "{kind}"', remedy=remedy)
    module, _, name = KINDS[kind].partition(":")
    return cast("type[ChannelKind]", getattr(import_module(module), name))


def parse_options(kind: str, written: Mapping[str, Any]) -> Part:
    """The keys beside `kind`, checked. Raises DrumrollError (unknown kind) or pydantic's ValidationError."""
    return channel_class(kind).Options.model_validate(dict(written))


def capability_for(kind: str, options: Part) -> Capability:
    """What a channel of this kind with these options can do. Raises DrumrollError for an unknown kind."""
    return channel_class(kind).capability_for(options)
