"""From a YAML file to a `Launch`, with every finding at its line."""

import difflib
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from drumroll.errors import Finding, UsageError
from drumroll.launchfile.models import Launch
from drumroll.launchfile.strict import Document, StrictYamlError, dotted, read
from drumroll.launchfile.strict import Path as DocPath


@dataclass(slots=True)
class Findings:
    """Collects findings about one file and knows the line of each place in it."""

    file: str
    document: Document | None = None
    items: list[Finding] = field(default_factory=list)

    def add(
        self, rule: str, path: DocPath, what: str, remedy: str = "", *, severity: Literal["error", "warning"] = "error"
    ) -> None:
        """Record a finding at `path` in the file."""
        line = self.document.line(path) if self.document else 1
        self.items.append(Finding(rule, self.file, line, dotted(path), what, remedy, severity))

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse the launch."""
        return [finding for finding in self.items if finding.severity == "error"]


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """A remedy: the nearest known word, else `otherwise`, else the list of what is known."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return otherwise or ("known: " + ", ".join(known) if known else "none is declared")


def load_launch(path: Path) -> tuple[Launch | None, Findings]:
    """Read `path`; the launch is None when findings refuse it.

    Raises UsageError when the file is missing or cannot be read at all.
    """
    findings = Findings(str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError("no such file", where=str(path), remedy="create one with `drumroll new NAME`") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        findings.items.append(
            Finding("file/encoding", str(path), line, "", f"not UTF-8 (byte {error.start})", "save the file as UTF-8")
        )
        return None, findings
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    try:
        findings.document = read(text)
    except StrictYamlError as error:
        finding = Finding("file/yaml", str(path), error.line, error.path, error.message, error.remedy)
        findings.items.append(finding)
        return None, findings
    try:
        return Launch.model_validate(findings.document.value), findings
    except ValidationError as error:
        report_invalid(error, findings)
        return None, findings


def report_invalid(error: ValidationError, findings: Findings, *, at: DocPath = (), model: Any = Launch) -> None:
    """Turn pydantic's errors into findings; `at` is where in the file `model` begins."""
    for item in error.errors(include_url=False):
        loc = tuple(part for part in item["loc"] if part != "[key]")
        findings.add(*_explain(item, loc, at, model))


def _explain(item: Any, loc: DocPath, at: DocPath, model: Any) -> tuple[str, DocPath, str, str]:
    path, kind, context = (*at, *loc), item["type"], item.get("ctx", {})
    last, given = (str(loc[-1]) if loc else ""), item.get("input")
    if kind == "extra_forbidden":
        return "file/unknown-key", path, f'unknown key "{last}"', did_you_mean(last, _fields_at(model, loc[:-1]))
    if kind == "missing":
        return "file/missing-key", path[:-1], f'"{last}" is missing', "add it"
    if kind in {"literal_error", "enum"}:
        allowed = [str(value) for value in get_args_of(context.get("expected", ""))]
        return "file/value", path, f'unknown value "{given}"', did_you_mean(str(given), allowed)
    if kind in {"string_type", "string_sub_type"}:
        return "file/value", path, f"expected text, found {_named(given)}", "put it in quotes"
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return "file/value", path, f"expected keys and values, found {_named(given)}", "see the launch-file reference"
    if kind in {"tuple_type", "list_type"}:
        return (
            "file/value",
            path,
            f"expected a list, found {_named(given)}",
            "write one item per line, each after a dash",
        )
    if kind == "string_pattern_mismatch":
        return "file/value", path, f'"{given}" has the wrong form', f"it must match {context.get('pattern')}"
    what = item["msg"].removeprefix("Value error, ")
    if not what.startswith('"') and isinstance(given, str | int | float) and kind != "value_error":
        what = f"{_named(given)}: {what[0].lower()}{what[1:]}"
    what, _, remedy = what.partition("; ")
    return "file/value", path, what, remedy


def _named(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def get_args_of(expected: str) -> list[str]:
    """The values in pydantic's "'a', 'b' or 'c'" → ["a", "b", "c"]."""
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(",") if word.strip()]


def _fields_at(model: Any, loc: DocPath) -> list[str]:
    """The keys that the model at `loc` below `model` knows."""
    for part in loc:
        model = _step_into(model, part)
        if model is None:
            return []
    inner = _unwrapped(model)
    return list(inner.model_fields) if isinstance(inner, type) and issubclass(inner, BaseModel) else []


def _unwrapped(annotation: Any) -> Any:
    while get_origin(annotation) in {Union, types.UnionType}:
        annotation = next((arg for arg in get_args(annotation) if arg is not type(None)), None)
    return annotation


def _step_into(annotation: Any, part: str | int) -> Any:
    annotation = _unwrapped(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        known = annotation.model_fields.get(str(part))
        return known.annotation if known else None
    args = get_args(annotation)
    if get_origin(annotation) is dict:
        return args[1]
    return args[0] if args else None
