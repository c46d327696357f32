"""Pictures and files that go with a message: hashed when a plan is made, and sent only as they were then."""

import hashlib
from pathlib import Path

from drumroll.channels.base import Attachment
from drumroll.errors import DrumrollError
from drumroll.launchfile.load import Findings
from drumroll.launchfile.models import Launch
from drumroll.plan.model import Attached, Plan, PlannedStep

_MOST = 100 * 1024 * 1024  # bytes; no platform takes more from a bot


def attached(project: Path, launch: Launch, findings: Findings) -> dict[str, Attached]:
    """Hash and size of every file that a step attaches, by its path; what cannot be read is a finding."""
    found: dict[str, Attached] = {}
    for name, phase in launch.phases.items():
        for index, step in enumerate(phase.steps):
            for position, path in enumerate(step.attach):
                place = ("phases", name, "steps", index, "attach", position)
                if step.attach.index(path) < position:
                    findings.add("attachment/twice", place, f'"{path}" is attached twice', "remove one")
                    continue
                try:
                    content = _read(project, path)
                except DrumrollError as error:
                    findings.add("attachment/unreadable", place, f"{path}: {error.message}", error.remedy)
                else:
                    found[path] = Attached(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    return found


def attachments_of(plan: Plan, step: PlannedStep, project: str) -> tuple[Attachment, ...]:
    """The step's files, as they were when the plan was approved. DrumrollError when one is gone or another by now."""
    loaded = []
    for path in step.attach:
        content = _read(Path(project), path)
        if hashlib.sha256(content).hexdigest() != plan.files[path].sha256:
            remedy = "put the approved file back, or apply the launch file again"
            raise DrumrollError("the file was changed since the plan was approved", where=path, remedy=remedy)
        loaded.append(Attachment(Path(path).name, content))
    return tuple(loaded)


def _read(project: Path, path: str) -> bytes:
    file = project / path
    try:
        if not file.resolve().is_relative_to(project.resolve()):
            raise DrumrollError("leads out of the project", where=path, remedy="put the file itself into the project")
        if file.stat().st_size > _MOST:
            raise DrumrollError("is larger than any platform takes", where=path, remedy="make it smaller")
        content = file.read_bytes()
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise DrumrollError(what, where=path, remedy="put the file there, or correct the path") from error
    if not content:
        raise DrumrollError("is empty", where=path, remedy="put the file there, or leave it out")
    return content
