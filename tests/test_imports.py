"""The house's rules (CONTRIBUTING.md), read from the import statements themselves."""

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from drumroll.channels.registry import KINDS
from drumroll.sources.registry import SOURCES
from tests.launch_files import drumroll_process, new_project

ROOT = Path(__file__).parent.parent
PACKAGES = ("drumroll", "flows", "tasks")
MODULES = sorted(path.relative_to(ROOT).as_posix() for name in PACKAGES for path in (ROOT / name).rglob("*.py"))

LAYERS = {  # folder or module → what it may never import
    "drumroll": {"prefect", "flows", "tasks"},
    "tasks": {"flows"},
    "drumroll.channels": {"drumroll.ledger", "drumroll.sources", "drumroll.operate"},
    "drumroll.sources": {"drumroll.ledger", "drumroll.channels", "drumroll.operate"},
}
OWNERS = {  # library → the only package that knows it
    "sqlmodel": "drumroll.ledger",
    "sqlalchemy": "drumroll.ledger",
    "alembic": "drumroll.ledger",
    "jinja2": "drumroll.words",
}
PURE = ("drumroll.plan", "drumroll.suspense", "drumroll.fit", "drumroll.gates", "drumroll.metrics")
PURE_MAY_IMPORT = (
    *PURE,
    "drumroll.launchfile",
    "drumroll.activity",
    "drumroll.capability",
    "drumroll.moments",
    "pydantic",
)
IMPURE_LIBRARIES = {"random", "secrets", "time", "os", "io", "socket", "subprocess", "urllib", "threading", "asyncio"}
IMPURE_CALLS = {
    "open",
    "input",
    "print",
    "now",
    "utcnow",
    "today",
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
}
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
LAZY = {"drumroll.cli.foreground": {"flows"}}  # what a module may import inside a function, and nowhere else


@dataclass(frozen=True)
class Import:
    name: str
    line: int
    is_lazy: bool


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def imports(path: str, source: str) -> list[Import]:
    """Every module that `source` imports, submodules taken by `from a import b` included."""
    found = []

    def visit(node: ast.AST, is_lazy: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, is_lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(path.split("/")[: -node.level]) if node.level else ""
            base = ".".join(part for part in (base, node.module) if part)
            found.extend(Import(f"{base}.{alias.name}", node.lineno, is_lazy) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child, is_lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    visit(ast.parse(source), False)
    return found


def violations(path: str, source: str) -> list[str]:
    """What `source`, standing at `path` below the project, does against the rules."""
    me, found = module_name(path), []
    if path.endswith("__init__.py") and source.strip():
        found.append(f"{path}: is not empty")
    if EMPTY_WORDS & set(Path(path).with_suffix("").parts):
        found.append(f"{path}: says nothing by its name")
    if source.count("\n") > 300:
        found.append(f"{path}: has more than 300 lines")
    for each in imports(path, source):
        found += [f"{path}:{each.line}: {problem}" for problem in import_problems(me, each)]
    if any(is_within(me, package) for package in PURE):
        found += [f"{path}:{line}: calls {name}()" for name, line in calls(source) if name in IMPURE_CALLS]
    return found


def import_problems(me: str, each: Import) -> list[str]:
    problems = []
    for layer, forbidden in LAYERS.items():
        excused = LAZY.get(me, set()) if each.is_lazy else set()
        if is_within(me, layer) and any(is_within(each.name, other) for other in forbidden - excused):
            problems.append(f"{layer} imports {each.name}")
    for library, owner in OWNERS.items():
        if is_within(each.name, library) and not is_within(me, owner):
            problems.append(f"imports {library}, which only {owner} knows")
    for kinds in (KINDS, SOURCES):
        modules = {target.partition(":")[0] for target in kinds.values()}
        if me in modules and any(is_within(each.name, other) for other in modules - {me}):
            problems.append(f"imports its neighbour {each.name}")
    if any(is_within(me, package) for package in PURE) and not is_pure(each.name):
        problems.append(f"is pure, yet imports {each.name}")
    return problems


def is_pure(name: str) -> bool:
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return top not in IMPURE_LIBRARIES
    return any(is_within(name, allowed) for allowed in PURE_MAY_IMPORT)


def calls(source: str) -> list[tuple[str, int]]:
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [(getattr(node.func, "attr", None) or getattr(node.func, "id", ""), node.lineno) for node in nodes]


@pytest.mark.parametrize("path", MODULES)
def test_every_module_keeps_the_rules_of_the_house(path):
    assert violations(path, (ROOT / path).read_text(encoding="utf-8")) == []


def test_all_three_packages_are_looked_at():
    assert {path.partition("/")[0] for path in MODULES} == set(PACKAGES)
    assert "drumroll/plan/compile.py" in MODULES


@pytest.mark.parametrize(
    ("path", "source", "problem"),
    [
        ("drumroll/check.py", "import prefect", "drumroll imports prefect"),
        ("drumroll/check.py", "from prefect import flow", "drumroll imports prefect.flow"),
        (
            "drumroll/cli/run.py",
            "def go():\n    from flows.launch import launch",
            "drumroll imports flows.launch.launch",
        ),
        ("drumroll/cli/foreground.py", "from flows.launch import launch", "drumroll imports flows.launch.launch"),
        ("drumroll/cli/foreground.py", "def go():\n    from prefect import flow", "drumroll imports prefect.flow"),
        ("drumroll/check.py", "if 1:\n    from tasks import gate", "drumroll imports tasks.gate"),
        ("tasks/gate.py", "from flows import launch", "tasks imports flows.launch"),
        ("drumroll/channels/webhook.py", "from drumroll import ledger", "drumroll.channels imports drumroll.ledger"),
        (
            "drumroll/channels/webhook.py",
            "from ..ledger import store",
            "drumroll.channels imports drumroll.ledger.store",
        ),
        (
            "drumroll/sources/rows.py",
            "import drumroll.channels.base",
            "drumroll.sources imports drumroll.channels.base",
        ),
        (
            "drumroll/channels/webhook.py",
            "import drumroll.channels.console",
            "imports its neighbour drumroll.channels.console",
        ),
        ("drumroll/check.py", "from sqlmodel import select", "imports sqlmodel, which only drumroll.ledger knows"),
        (
            "drumroll/operate/board.py",
            "import sqlalchemy as sa",
            "imports sqlalchemy, which only drumroll.ledger knows",
        ),
        ("flows/launch.py", "import jinja2", "imports jinja2, which only drumroll.words knows"),
        ("drumroll/plan/compile.py", "import random", "is pure, yet imports random"),
        (
            "drumroll/gates.py",
            "from drumroll.ledger.model import Row",
            "is pure, yet imports drumroll.ledger.model.Row",
        ),
        (
            "drumroll/metrics/sales.py",
            "from drumroll.words import render",
            "is pure, yet imports drumroll.words.render",
        ),
        ("drumroll/metrics/sales.py", "import numpy", "is pure, yet imports numpy"),
        ("drumroll/gates.py", "from datetime import datetime\nx = datetime.now()", "calls now()"),
        ("drumroll/plan/model.py", "open('x')", "calls open()"),
        ("drumroll/plan/__init__.py", "from drumroll.plan.model import Plan", "is not empty"),
        ("drumroll/plan/utils.py", "", "says nothing by its name"),
        ("drumroll/helpers/text.py", "", "says nothing by its name"),
        ("flows/launch.py", "x = 1\n" * 301, "has more than 300 lines"),
    ],
)
def test_the_rules_find_what_breaks_them(path, source, problem):
    found = violations(path, source)
    assert any(line.endswith(f": {problem}") for line in found), found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("drumroll/cli/foreground.py", "def go():\n    from flows.launch import launch"),
        ("flows/launch.py", "from prefect import flow\nfrom tasks import gate\nfrom drumroll.plan.model import Plan"),
        ("drumroll/ledger/store.py", "import sqlalchemy\nfrom sqlmodel import Session"),
        ("drumroll/plan/compile.py", "import hashlib\nfrom drumroll.launchfile.models import Launch"),
        ("drumroll/flowsheet.py", "import prefectural"),
        ("drumroll/plan/__init__.py", ""),
    ],
)
def test_the_rules_let_pass_what_keeps_them(path, source):
    assert violations(path, source) == []


LOADED = """
import sys
from drumroll.cli.main import main
sys.argv = ["drumroll", *sys.argv[1:]]
try:
    main()
except SystemExit as left:
    print(sorted({name.partition(".")[0] for name in sys.modules} & set(%r)), left.code, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        ("--help", ["prefect", "sqlmodel", "sqlalchemy", "aiohttp", "pydantic", "jinja2", "yaml", "babel", "rich"]),
        ("check", ["prefect", "sqlmodel", "sqlalchemy", "alembic", "aiohttp", "fastapi", "rich"]),
        ("plan", ["prefect", "sqlmodel", "sqlalchemy", "alembic", "aiohttp", "fastapi"]),
    ],
)
def test_quick_commands_load_nothing_slow(tmp_path, command, unwanted):
    arguments = [] if command == "--help" else [new_project(tmp_path).file]
    ran = drumroll_process(command, *arguments, code=LOADED % (unwanted,))
    assert ran.err == "[] 0\n"
