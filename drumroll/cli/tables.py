"""Printing what members and templates say, and tables of it, without letting any of it speak to the terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def plain(words: object) -> "Text":
    """`words` as text that is no markup; control characters, which could move the cursor, are dropped."""
    from unicodedata import category

    from rich.text import Text

    return Text("".join(sign for sign in str(words) if sign in "\n\t" or category(sign) != "Cc"))


def console() -> "Console":
    """Standard output, nothing highlighted."""
    from rich.console import Console

    return Console(highlight=False)


def table(*headings: str) -> "Table":
    """An empty table without lines."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def show(made: "Table") -> None:
    """Print a table: folded to a terminal's width, in full where a file or another program reads it."""
    from rich.console import Console
    from rich.measure import Measurement

    screen = console()
    if not screen.is_terminal:
        wide = Console(highlight=False, width=10_000)
        screen = Console(highlight=False, width=max(1, Measurement.get(wide, wide.options, made).maximum))
    screen.print(made)


def say(words: object) -> None:
    """Print a line, or several, as they are: nothing is wrapped, so that it can be copied."""
    console().print(plain(words), soft_wrap=True)
