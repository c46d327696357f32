"""Where a step's words are: template files of a project, from the most particular to the most general."""

from collections.abc import Iterator
from pathlib import Path

from drumroll.errors import UsageError
from drumroll.launchfile.models import Launch, RemedyStep, Step

SUFFIX = ".md.j2"


def candidates(launch: Launch, phase: str, step: Step | RemedyStep) -> Iterator[str]:
    """Template names below `templates/`, in the order they are looked for."""
    own = step.template or f"{phase}/{step.id}"
    own = own.removesuffix(SUFFIX)
    yield f"{launch.locale}/{launch.name}/{own}{SUFFIX}"
    yield f"{launch.locale}/{own}{SUFFIX}"
    if step.template is None:
        yield f"{launch.locale}/{phase}/{step.kind}{SUFFIX}"


def find_project(start: Path) -> Path:
    """The nearest folder at or above `start` that holds `templates/`.

    Raises UsageError when there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "templates").is_dir():
            return folder
    raise UsageError(
        "no project directory: no folder from here upwards holds templates/",
        where=str(start),
        remedy="run the command inside a Drumroll project, or keep launch files in its configs/",
    )


def source_of(project: Path, name: str) -> str | None:
    """The source of template `name`, or None when there is no such file inside `templates/`.

    Raises OSError or ValueError (UnicodeDecodeError among them) when there is one that cannot be read.
    """
    root = (project / "templates").resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        return None
    return path.read_text(encoding="utf-8-sig")
