"""The machine below a project: the interpreter, the installed packages, time, and the settings in the environment."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from drumroll import logs
from drumroll.doctor.sign import Sign, ok, problem, warning
from drumroll.errors import UsageError

_PYTHON = (3, 11)
_WHY = {
    "fastapi": "from 0.151 on Prefect's server refuses what its own client sends, from 0.155 on it does not start",
    "sqlalchemy": "with 2.1 Prefect's scheduler dies on every round and no cron fires",
    "prefect": "how a launch waits without a process was measured on 3.8",
}
_INSTALL = "`make setup`, or `pip install --no-deps --require-hashes -r requirements.lock`"
_ASKS_WITHIN = 2.0  # seconds


def machine_signs() -> Iterator[Sign]:
    """What holds for any project on this machine, its packages apart."""
    yield _python(sys.version_info[:3])
    yield from _time()
    yield from setting_signs()


def _python(version: tuple[int, ...]) -> Sign:
    name = ".".join(map(str, version))
    if version < _PYTHON:
        return problem(
            "python", f"Python {name} is too old", "install Python 3.11 or later, then `make setup PYTHON=…`"
        )
    return ok("python", f"Python {name}, {sys.executable}")


def package_signs(needed: Sequence[str]) -> Iterator[Sign]:
    """Each package of `needed` (like `fastapi<0.151`) that is missing, or is installed in another version."""
    try:
        from packaging.requirements import Requirement  # noqa: PLC0415 - comes with Prefect, which may be missing
    except ModuleNotFoundError:
        yield problem("packages", "Drumroll's dependencies are not installed", _INSTALL)
        return
    found = []
    for requirement in map(Requirement, needed):
        name = requirement.name
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield problem(f"packages.{name}", f"{name} is not installed", _INSTALL)
            continue
        found.append(f"{name} {version}")
        if not requirement.specifier.contains(version, prereleases=True):
            why = f": {_WHY[name.lower()]}" if name.lower() in _WHY else ""
            what = f"{name} {version} is installed, and {requirement.specifier} is what works{why}"
            yield problem(f"packages.{name}", what, _INSTALL)
    yield ok("packages", ", ".join(one for one in found if one.partition(" ")[0].lower() in _WHY))


def _time() -> Iterator[Sign]:
    try:
        ZoneInfo("Asia/Shanghai")
    except ZoneInfoNotFoundError:
        yield problem("time.zones", "no time zone is known here", "install the Python package tzdata")
    else:
        yield ok("time.zones", "time zones are known")
    match _is_synchronized():
        case True:
            yield ok("time.clock", "the clock is kept right by the system")
        case False:
            remedy = "switch on time synchronization: `timedatectl set-ntp true`, chrony or ntpd"
            yield warning("time.clock", "nobody keeps the clock right: announcements go out by it", remedy)


def _is_synchronized() -> bool | None:
    """Whether systemd says so; None where it cannot be asked."""
    command = shutil.which("timedatectl")
    if command is None:
        return None
    try:
        asked = [command, "show", "--property=NTPSynchronized", "--value"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=_ASKS_WITHIN).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):  # no systemd here, as in most containers
        return None
    return {"yes": True, "no": False}.get(said)


def setting_signs() -> Iterator[Sign]:
    """Drumroll's own environment variables that say nothing it understands."""
    from drumroll.operate.waking import standard_lead  # noqa: PLC0415 - reaches for the ledger's libraries

    said = os.environ.get(logs.SETTING, "").strip()
    if said and said.lower() not in {"json", "text"}:
        yield warning("settings.log", f'{logs.SETTING} is "{said}": the log is for people then', "write json or text")
    try:
        standard_lead()
    except UsageError as error:
        yield problem("settings.waiting", f"{error.where}: {error.message}", error.remedy)
