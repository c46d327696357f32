"""From a YAML file to a `Launch`, with every finding at its line."""

import difflib
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from drumroll.errors import Finding, Severity, UsageError
from drumroll.launchfile.community import CURRENCY
from drumroll.launchfile.fields import SLUG
from drumroll.launchfile.method import MomentValue
from drumroll.launchfile.models import Launch
from drumroll.launchfile.strict import MAX_BYTES, Document, StrictYamlError, dotted, may_be_secret, read
from drumroll.launchfile.strict import Path as DocPath

_MAX_SHOWN = 600


@dataclass(slots=True)
class Findings:
    """Collects findings about one file and knows the line of each place in it."""

    file: str
    document: Document | None = None
    items: list[Finding] = field(default_factory=list)

    def add(self, rule: str, path: DocPath, what: str, remedy: str = "", *, severity: Severity = "error") -> None:
        """Record a finding at `path` in the file."""
        line = self.document.line(path) if self.document else 1
        self.items.append(Finding(rule, self.file, line, _brief(dotted(path)), _brief(what), _brief(remedy), severity))

    def written(self, path: DocPath, otherwise: str) -> str:
        """The value at `path` as the file has it, where that is known."""
        try:
            return otherwise if self.document is None else str(self.document.at(path))
        except (KeyError, IndexError, TypeError):
            return otherwise

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse the launch."""
        return [finding for finding in self.items if finding.severity == "error"]


def _brief(text: str) -> str:
    """On one line, and not longer than a person reads: values of the file stand in it."""
    text = " ".join(text.split())
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN // 2]} … {text[-_MAX_SHOWN // 2 :]}"


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
    raw = _bytes_of(path)
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        what = f"not UTF-8 (byte {error.start})"
        findings.items.append(Finding("file/encoding", str(path), line, "", what, "save the file as UTF-8"))
        return None, findings
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


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)  # one too many: `read` then says so
    except FileNotFoundError as error:
        raise UsageError("no such file", where=str(path), remedy="create one with `drumroll new NAME`") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot be read: {why}", where=str(path)) from error


def report_invalid(error: ValidationError, findings: Findings, *, at: DocPath = (), model: Any = Launch) -> None:
    """Turn pydantic's errors into findings; `at` is where in the file `model` begins."""
    told: set[DocPath] = set()
    for item in error.errors(include_url=False):
        if item["type"] == "too_short" and item["input"]:  # its items are wrong, and told by themselves
            continue
        loc, choices = _place(model, tuple(part for part in item["loc"] if part != "[key]"))
        if choices and loc in told:  # pydantic has one error for each type that it might have been
            continue
        told.add(loc)
        findings.add(*_explain(item, loc, (*at, *loc), model, choices))


def _place(model: Any, loc: DocPath) -> tuple[DocPath, list[Any]]:
    """`loc` without what pydantic adds below a choice of types (`str`, `int`, …), and that choice, if any."""
    for index, part in enumerate(loc):
        if len(choices := _choices(model)) > 1:
            return loc[:index], choices
        model = _step_into(model, part)
    return loc, []


def _explain(item: Any, loc: DocPath, path: DocPath, model: Any, choices: list[Any]) -> tuple[str, DocPath, str, str]:
    last = str(loc[-1]) if loc else ""
    if item["type"] == "extra_forbidden":
        return "file/unknown-key", path, f'unknown key "{last}"', did_you_mean(last, _fields_at(model, loc[:-1]))
    if item["type"] == "missing":
        return "file/missing-key", path[:-1], f'"{last}" is missing', "add it"
    expected = _one_of(choices) if choices else _EXPECTED.get(item["type"])
    if expected is not None:
        found = "" if may_be_secret(path) else f", found {_named(item['input'])}"
        return "file/value", path, f"expected {expected}{found}", _how_to_write(expected, item["input"])
    return "file/value", path, *_what_is_wrong(item, hidden=may_be_secret(path))


_TYPE_WORDS = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    MomentValue: '{at: "D+1 20:00"}',
}
_EXPECTED = {
    "string_type": "text",
    "model_type": "keys and values",
    "dict_type": "keys and values",
    "tuple_type": "a list",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
}


def _one_of(choices: list[Any]) -> str:
    """What may stand where several types may: `text or {at: "D+1 20:00"}`."""
    said = [_TYPE_WORDS.get(_unwrapped(choice), "false") for choice in choices]
    first = list(dict.fromkeys(said))
    comma = "," if len(first) > 2 else ""
    return first[0] if len(first) == 1 else f"{', '.join(first[:-1])}{comma} or {first[-1]}"


def _how_to_write(expected: str, given: Any) -> str:
    if expected == "a list":
        return "write one item per line, each after a dash"
    if expected == "keys and values":
        return 'write them below it, indented, as "key: value"'
    if expected == "text or false":
        return "say it in words, or write false"
    if expected.startswith("text") and isinstance(given, int | float) and "number" not in expected:
        return "put it in quotes"
    return (
        f"write {expected} without quotes" if expected in {"true or false", "a whole number"} else f"write {expected}"
    )


def _what_is_wrong(item: Any, *, hidden: bool) -> tuple[str, str]:
    """What and remedy of an error about a value of the right type; `hidden`: never quote it."""
    kind, given, context = item["type"], item.get("input"), item.get("ctx", {})
    named = "this value" if hidden else _named(given)
    if kind in {"literal_error", "enum"}:
        allowed = _allowed(context.get("expected", ""))
        quotes = f"write {given} without quotes" if given in allowed else ""
        return ("unknown value" if hidden else f"unknown value {named}"), quotes or did_you_mean(str(given), allowed)
    if kind == "string_pattern_mismatch":
        form = _FORMS.get(str(context.get("pattern")), f"it must match {context.get('pattern')}")
        return f"{named} has the wrong form", form
    if kind in {"too_short", "string_too_short"}:
        return "is empty", "write at least one" if kind == "too_short" else "write something"
    if kind == "string_too_long":
        return f"{named} is too long", f"use at most {context.get('max_length')} characters"
    what, _, remedy = item["msg"].removeprefix("Value error, ").partition("; ")
    if kind != "value_error":
        return f"{named} {what.replace('Input should', 'should', 1)}", remedy
    if hidden and isinstance(given, str | int | float):
        what = what.replace(f'"{given}"', named)
        if str(given) in what:
            what = f"{named} is wrong"
    return what, remedy


_FORMS = {
    SLUG: "use lower-case letters, digits and single dashes, like spring-course",
    CURRENCY: "use the three capital letters of ISO 4217, like TWD",
}


def _named(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _allowed(expected: str) -> list[str]:
    """The values in pydantic's "'a', 'b' or 'c'" → ["a", "b", "c"]."""
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(",") if word.strip()]


def _fields_at(model: Any, loc: DocPath) -> list[str]:
    """The keys that the model at `loc` below `model` knows."""
    for part in loc:
        model = _step_into(model, part)
        if model is None:
            return []
    inner = _unwrapped(model)
    if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
        return []
    return [field.alias or name for name, field in inner.model_fields.items()]


def _unwrapped(annotation: Any) -> Any:
    """The annotation without `Annotated` and `| None`; the first of several types."""
    while choices := _choices(annotation):
        annotation = choices[0]
    return annotation.__origin__ if get_origin(annotation) is Annotated else annotation


def _choices(annotation: Any) -> list[Any]:
    if get_origin(annotation) not in {Union, types.UnionType}:
        return []
    return [arg for arg in get_args(annotation) if arg is not type(None)]


def _step_into(annotation: Any, part: str | int) -> Any:
    annotation = _unwrapped(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        known = (field for name, field in annotation.model_fields.items() if (field.alias or name) == part)
        return next((field.annotation for field in known), None)
    args = get_args(annotation)
    if get_origin(annotation) is dict:
        return args[1]
    return args[0] if args else None
