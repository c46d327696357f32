"""The one exception tree: what a person can act on says *where, what, remedy*."""

import shlex
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "waived"]


class DrumrollError(Exception):
    """Anything Drumroll tells a person instead of a traceback.

    The command prints `message` and exits with `exit_code`: 1 for findings and refusals, 2 for usage and missing files.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        self.where = where
        self.message = message
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}; {self.remedy}" if self.remedy else text


class UsageError(DrumrollError):
    """The call itself is wrong, or names a file that is not there."""

    exit_code = 2


class LedgerError(DrumrollError):
    """The ledger cannot be opened, read or written as asked."""


class LedgerBusyError(LedgerError):
    """The ledger cannot be used for the moment: it is locked, overloaded, or its server went away. Try again later.

    Nothing was written, except perhaps when the connection was lost while committing.
    """


class LedgerAwayError(LedgerError):
    """Nobody answers at the ledger's address, nor has since this process began: it is down, or the address is wrong."""


class SourceError(DrumrollError):
    """An export cannot be read; nothing of it was taken in."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing `check` has to say about a launch file.

    `rule` is the stable id (`launch/…`, `moment/…`, `template/…`, `teaser/…`), `line` is 1-based, and `path` is the
    dotted place in the file (`phases.ignite.gate`). Errors refuse the launch; warnings print; a waived one is on record
    with the launch's reason in `what`.
    """

    rule: str
    file: str
    line: int
    path: str
    what: str
    remedy: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " + (f"{self.path}: " if self.path else "")
        return place + self.what + (f"; {self.remedy}" if self.remedy else "")


class LaunchRefusedError(DrumrollError):
    """A launch file with at least one error; carries every finding, warnings included.

    Its text is one line for each error, then for each warning, and a last one with the call that shows their rules.
    """

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        errors = [finding for finding in findings if finding.severity == "error"]
        call = f"`drumroll check {shlex.quote(errors[0].file)}`"
        last = f"1 error; {call} shows it with its rule"
        if len(errors) > 1:
            last = f"{len(errors)} errors; {call} shows them with their rules"
        said = [f"{finding} [warning]" for finding in findings if finding.severity == "warning"]
        super().__init__("\n".join([*map(str, errors), *said, last]))
