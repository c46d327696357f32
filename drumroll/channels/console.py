"""Prints every message to standard output: for trying a launch out."""

import sys

from drumroll.capability import Capability
from drumroll.channels.base import Channel, ChannelContext, Message, Receipt, Recipient, SendError
from drumroll.channels.text import check_can, printable
from drumroll.errors import DrumrollError
from drumroll.launchfile.fields import Part


class ConsoleChannel(Channel):
    """One block of plain text per message: a line with number, group and step, then the text."""

    class Options(Part):
        """The console has no options."""

    @staticmethod
    def capability_for(options: Options) -> Capability:  # noqa: ARG004 - asked like every kind
        """No limit, no memory: what is printed twice is there twice."""
        return Capability(direct=True, concurrency=1)

    def __init__(self, name: str, options: Options, context: ChannelContext) -> None:  # noqa: ARG002 - built like every kind
        self.name = name
        self.capability = self.capability_for(options)

    async def open(self) -> None:
        """Nothing to acquire."""

    async def send(self, message: Message) -> Receipt:
        """Print one block. Raises SendError (permanent) when standard output is closed or cannot take a character."""
        check_can(message, self.capability, name=self.name)
        try:
            # One write a block: blocks of concurrent sends never mix.
            sys.stdout.write(_block(message))
            sys.stdout.flush()
        except UnicodeEncodeError as error:
            problem = f"standard output takes only {error.encoding}; set PYTHONIOENCODING=utf-8"
        except (OSError, ValueError):
            problem = "standard output is closed; run it in a terminal or redirect it to a file"
        else:
            return Receipt()
        raise SendError(f'channel "{self.name}": {problem}', kind="permanent")

    async def look_up(self, key: str, to: Recipient) -> Receipt | None:  # noqa: ARG002 - asked like every kind
        """Raises DrumrollError: nobody knows what a terminal has shown."""
        raise DrumrollError(f'channel "{self.name}": a console cannot say whether {key} was printed')

    async def close(self) -> None:
        """Nothing to release."""


def _block(message: Message) -> str:
    to = message.recipient
    member = f" → {to.member_name or to.member}" if to.member else ""
    number = "" if message.number is None else f"{message.number} · "
    title = printable(f"{number}{to.group_name}{member} · {message.step}").replace("\n", " ")
    return f"── {title}\n{printable(message.text)}\n\n"
