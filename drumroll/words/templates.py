"""Where a step's words are: template files of a project, from the most particular to the most general."""

from collections.abc import Iterator
from pathlib import Path

from drumroll.errors import UsageError
from drumroll.launchfile.models import Launch, RemedyStep, Step
from drumroll.words.simplified import SIMPLIFIED, TRADITIONAL, simplified_source

SUFFIX = ".md.j2"
_ALSO = {SIMPLIFIED: (TRADITIONAL,)}  # whose templates serve a locale, too: they are converted for it


def candidates(launch: Launch, phase: str, step: Step | RemedyStep) -> Iterator[str]:
    """Template names below `templates/`, in the order they are looked for.

    A launch's own words come before words for all launches, in whichever of its locale's folders they are.
    """
    own = step.template or f"{phase}/{step.id}"
    own = own.removesuffix(SUFFIX)
    names = [f"{launch.name}/{own}", own]
    if step.template is None:
        names.append(f"{phase}/{step.kind}")
    for name in names:
        for locale in locales(launch):
            yield f"{locale}/{name}{SUFFIX}"


def locales(launch: Launch) -> tuple[str, ...]:
    """The folders of `templates/` that hold a launch's words: its locale's own, then those converted for it."""
    return (launch.locale, *_ALSO.get(launch.locale, ()))


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
    root = project / "templates"
    path = root / name
    if not path.is_file() or not path.resolve().is_relative_to(root.resolve()):  # most names asked for have no file
        return None
    return path.read_text(encoding="utf-8-sig")


def source_for(project: Path, launch: Launch, name: str) -> str | None:
    """As `source_of`, in the characters of the launch's locale."""
    source = source_of(project, name)
    if source is None or name.partition("/")[0] not in _ALSO.get(launch.locale, ()):
        return source
    return simplified_source(source, launch.protected_terms)
