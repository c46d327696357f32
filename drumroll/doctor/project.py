"""The project directory that Prefect deploys, and one launch file's needs of this machine."""

import fcntl
import importlib
import json
import os
import sys
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.channels.credentials import block_name, variables_of
from drumroll.channels.registry import parse_options
from drumroll.doctor.sign import Sign, ok, problem, warning
from drumroll.errors import DrumrollError

_INSTALL = "in the project: `make setup`, or `pip install --no-deps --no-build-isolation -e .`"


def project_signs(project: Path) -> Iterator[Sign]:
    """Whether `project` is whole and its flows load here. Imports Prefect."""
    missing = [name for name in ("flows", "tasks", "templates", "configs") if not (project / name).is_dir()]
    if missing:
        what = f"{project} lacks {', '.join(missing)}"
        yield problem("project.folders", what, "clone the project again, or run inside it")
        return
    yield ok("project.folders", str(project))
    yield _found(project)
    yield from _entrypoints(project)


def needed_packages(project: Path) -> list[str]:
    """What the project's pyproject.toml asks for; else what Drumroll's own installation, from a wheel, does."""
    try:
        document = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        if document["name"] == "drumroll":
            return list(document["dependencies"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return [one for one in metadata.requires("drumroll") or [] if "extra ==" not in one]


def up_at(project: Path) -> str | None:
    """The API of the server that a `drumroll up` of this project uses now; "" while it starts, None when none is up."""
    try:
        with (project / ".drumroll" / "up.json").open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # it holds its lock for as long as it lives
                return str(json.loads(file.read() or "{}").get("api", ""))
    except (OSError, ValueError):
        pass
    return None


def _found(project: Path) -> Sign:
    """Where a worker would take `flows` from: it imports them by name, from wherever they are installed."""
    spec = find_spec("flows")
    places = [Path(place).resolve() for place in (spec.submodule_search_locations or [])] if spec else []
    if not places:
        return problem("project.installed", "its flows are not importable: a worker here would not find them", _INSTALL)
    if places[0] != (project / "flows").resolve():
        what = f"a worker here runs the flows of {places[0].parent}, not this project's"
        return warning("project.installed", what, _INSTALL + ", with the environment the worker runs in")
    if not metadata.entry_points(group="prefect.collections", name="drumroll"):
        return warning("project.installed", "it was installed before it had a worker type of its own", _INSTALL)
    return ok("project.installed", "a worker here imports this project's flows")


def _entrypoints(project: Path) -> Iterator[Sign]:
    import yaml  # noqa: PLC0415

    try:
        deployments = yaml.safe_load((project / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
        entrypoints = dict.fromkeys(str(deployment["entrypoint"]) for deployment in deployments)
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        what = f"prefect.yaml cannot be read ({type(error).__name__})"
        yield problem("project.deployments", what, "take the project's own again")
        return
    sys.path.append(str(project))  # they may well load, though not installed
    try:
        broken = {name: why for name in entrypoints if (why := _why_not(name)) is not None}
    finally:
        sys.path.remove(str(project))
    for name, why in broken.items():
        yield problem(
            f"project.flow.{name.rpartition('.')[2]}",
            f"{name} does not load: {why}",
            "mend it, then `prefect deploy --all`",
        )
    if not broken:
        yield ok("project.flows", f"all {len(entrypoints)} flows load")


def _why_not(entrypoint: str) -> str | None:
    module, _, name = entrypoint.rpartition(".")
    try:
        getattr(importlib.import_module(module), name)
    except Exception as error:  # noqa: BLE001 - whatever the code of a flow does at import
        return f"{type(error).__name__}: {error}"
    return None


def file_signs(
    file: Path,
    environ: Mapping[str, str] = os.environ,
    in_blocks: Callable[[Sequence[str]], Collection[str]] | None = None,
) -> Iterator[Sign]:
    """What one launch file needs here: that it is one, its time zone, the environment variables of its channels.

    `in_blocks` says which of those that are not set a Secret Block stands in for. Names of variables only, never what
    is in them.
    """
    from drumroll.launchfile.load import load_launch  # noqa: PLC0415

    launch, _ = load_launch(file)
    if launch is None:
        yield problem("file", f"{file} is not a launch file as it stands", f"`drumroll check {file}` says why")
        return
    ZoneInfo(launch.timezone)
    yield ok("file", f"{file}: {launch.title}")
    wanted: dict[str, tuple[str, ...]] = {}
    for name, spec in launch.community.channels.items():
        try:
            wanted[name] = variables_of(parse_options(spec.kind, spec.options))
        except (DrumrollError, ValueError):
            yield problem(
                f"file.channel.{name}", f"its options are not right ({spec.kind})", f"`drumroll check {file}`"
            )
    missing = [each for variables in wanted.values() for each in variables if not environ.get(each)]
    there = in_blocks(missing) if missing and in_blocks is not None else ()
    for name, variables in wanted.items():
        for variable in variables:
            yield _variable(
                f"file.channel.{name}", variable, is_set=variable not in missing, has_block=variable in there
            )


def _variable(subject: str, variable: str, *, is_set: bool, has_block: bool) -> Sign:
    if is_set:
        return ok(subject, f"{variable} is set")
    block = f"Prefect Secret Block {block_name(variable)}"
    if has_block:
        return ok(subject, f"{variable} is not set here, and the {block} stands in for it")
    remedy = f"set {variable} where the worker, `drumroll up` or `drumroll run` starts, or make the {block}"
    return problem(subject, f"{variable} is not set in this environment", remedy)
