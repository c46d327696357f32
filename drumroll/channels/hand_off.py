"""For groups without an API (personal WeChat): a person posts the text and ticks it off."""

from datetime import timedelta

from pydantic import Field, model_validator

from drumroll.capability import Capability
from drumroll.channels.base import Channel, ChannelContext, Message, Receipt, Recipient
from drumroll.channels.text import check_can
from drumroll.errors import DrumrollError
from drumroll.launchfile.fields import AS_STRETCH, Duration, Part, Text


class HandOffChannel(Channel):
    """Hands the text to the operator, who finds it in `drumroll today` and on the desk, `lead` before its instant.

    The ledger holds the text and the open task, so handing over twice changes nothing.
    """

    class Options(Part):
        """Who posts, and how long before the instant they get the text."""

        lead: Duration = Field(
            default=timedelta(minutes=30), ge=timedelta(0), description="How long before its instant the text is ready."
        )
        to: Text | None = Field(default=None, description="Who of `team.staff` posts it. Without this: any operator.")
        remind_after: Duration = Field(
            default=timedelta(minutes=10),
            gt=timedelta(0),
            description="An alarm names who posts it, when it is not ticked off that long after its instant.",
            json_schema_extra=AS_STRETCH,
        )
        escalate_after: Duration = Field(
            default=timedelta(minutes=30),
            gt=timedelta(0),
            description="A second alarm names `escalate_to`, when it is still not ticked off then.",
            json_schema_extra=AS_STRETCH,
        )
        escalate_to: Text | None = Field(
            default=None, description="Who of `team.staff` sees to it then. Without this: there is no second alarm."
        )
        max_bytes: int | None = Field(
            default=None, gt=0, description="Most UTF-8 bytes the platform takes in one post."
        )
        daily_cap: int | None = Field(default=None, gt=0, description="Most messages one group may get on a local day.")

        @model_validator(mode="after")
        def _reminded_first(self) -> "HandOffChannel.Options":
            if self.escalate_to is not None and self.escalate_after <= self.remind_after:
                raise ValueError("escalate_after comes after remind_after; write a longer escalate_after")
            return self

    @staticmethod
    def capability_for(options: Options) -> Capability:
        """A person has to act, `lead` ahead of time."""
        return Capability(
            max_bytes=options.max_bytes,
            idempotent=True,
            unattended=False,
            direct=True,
            lead=options.lead,
            daily_cap=options.daily_cap,
        )

    def __init__(self, name: str, options: Options, context: ChannelContext) -> None:  # noqa: ARG002 - built like every kind
        self.name = name
        self.capability = self.capability_for(options)

    async def open(self) -> None:
        """Nothing to acquire."""

    async def send(self, message: Message) -> Receipt:
        """The message now awaits a person. Raises SendError (permanent) for a text that does not fit."""
        check_can(message, self.capability, name=self.name)
        return Receipt(state="awaiting")

    async def look_up(self, key: str, to: Recipient) -> Receipt | None:  # noqa: ARG002 - asked like every kind
        """Raises DrumrollError: only the person who posts it knows."""
        raise DrumrollError(f'channel "{self.name}": only the operator knows whether {key} was posted; tick it off')

    async def close(self) -> None:
        """Nothing to release."""
