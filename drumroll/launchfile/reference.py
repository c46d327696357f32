"""The launch-file reference (docs/launch-file.md), written from the JSON Schema: what editors say, on one page."""

import re
from collections.abc import Iterator
from typing import Any

from drumroll.channels.registry import KINDS
from drumroll.launchfile.schema import launch_schema, options_name
from drumroll.metrics.registry import METRICS

_INTRO = """\
# The launch file

One launch is one YAML file in `configs/`: who, what, when, and what must be true before moving on. `drumroll new NAME`
writes a commented one to start from, `drumroll check FILE` says what is wrong with it and where, and this page has
every key. It is what `drumroll schema --reference` prints.

With `configs/launch.schema.json` beside it, an editor that uses the YAML language server (VS Code with the YAML
extension, Neovim, Zed and others) completes keys, shows these descriptions and underlines mistakes while you type. The
first line of the file says where the schema is:

```yaml
# yaml-language-server: $schema=launch.schema.json
```

A project of your own gets the schema with `drumroll schema > configs/launch.schema.json`; from then on `drumroll new`
writes that line by itself. The schema sees one value at a time; whether names point at something, moments are in order
and texts keep the [rules](rules.md), `drumroll check` knows.

## How values are written

YAML is read strictly: unknown and duplicate keys, anchors, aliases and tags are errors, and so is what YAML readers
take for something else than it looks (`12:30`, `no`, `0123`): put it in quotes.

### Moment

A point in time, as people say it, always local and always in quotes:

| written | means |
|---|---|
| `"T"`, `"T-2h"`, `"T+1d12h"` | the opening, and a [duration](#duration) before or after it |
| `"D-1 23:00"`, `"D 12:00"`, `"D+2 09:00"` | a time of day on a day counted from the opening day |
| `"2026-12-11 23:00"` | that date and time (a *local time*; `opens` takes only this form) |

Seconds may follow (`"D 12:00:30"`). A time that daylight saving skips is an error; one that it has twice must say
`"D-1 02:30 first"` or `second`.

### Point in time

A [moment](#moment) among `facts` or `vars` is written `{at: "D+1 20:00"}`. It moves with the opening, and a template
says it through a filter: `{{ facts.closes | when }}`, `| clock` or `| day`.

### Duration

Days, hours, minutes and seconds, in this order: `1d12h`, `6h`, `90m`, `30s`.

### Number or percentage

`150`, `0.25`, or `25%` without quotes, which is the same as `0.25`.

### Name

Up to 64 lower-case letters, digits and single dashes or underscores: `spring-course`.

### Word

A name that templates use: letters, digits and `_`, no digit first, like `order_link` in `{{ facts.order_link }}`.

### Time of day

Hours and minutes in quotes: `"23:30"`.

### Time zone

An IANA name: `Asia/Taipei`, `Europe/London`, `UTC`.
"""
_EXPLAINED = {
    "moment": "moment",
    "local time": "moment",
    "duration": "duration",
    "number or percentage": "number-or-percentage",
    "name": "name",
    "word": "word",
    "time of day": "time-of-day",
    "time zone": "time-zone",
}
_POINT_IN_TIME = "MomentValue"
_PLAIN = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "keys and values"}
_BOUNDS = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "and below", "maximum": "up to"}
_WINDOWS = {
    "phase": "the phase's start",
    "edition": "the launch's first event",
    "fixed": "nothing: it looks at its end",
}


def reference() -> str:
    """The page as Markdown, with the parts of the file in the order of the models."""
    return _Page(launch_schema()).text()


class _Page:
    """Walks the schema once, depth first; every part is written where it is met first."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._parts = schema["$defs"]
        self._explained: dict[tuple[str, ...], str] = {}  # choices told already → in which part
        self._written = {_POINT_IN_TIME}

    def text(self) -> str:
        return "\n".join((_INTRO, *self._part({**self._schema, "title": "The whole file"}, "", 2)))

    def _part(self, part: dict[str, Any], place: str, level: int) -> Iterator[str]:
        title = part["title"]
        yield f"{'#' * min(level, 4)} {title}\n"
        yield (f"`{place}`: " if place else "") + part["description"] + "\n"
        keys = part["properties"]
        yield from _table(["key", "value", "default", "meaning"], (self._row(part, key) for key in keys))
        for key, value in keys.items():
            yield from self._choices(title, key, value)
        if "allOf" in part:
            for kind in sorted(KINDS):
                yield from self._part(self._parts[options_name(kind)], f"{place} (kind: {kind})", level + 1)
        for key, value in keys.items():
            for name, below in _parts_in(value, f"{place}.{key}" if place else key):
                if name not in self._written:
                    self._written.add(name)
                    yield from self._part(self._parts[name], below, level + 1)

    def _row(self, part: dict[str, Any], key: str) -> list[str]:
        value = part["properties"][key]
        default = value.get("default")
        shown = "required" if key in part.get("required", ()) else ""
        if default is not None and default not in ([], {}) and "$ref" not in value:
            shown = f"`{_as_yaml(default)}`"
        return [f"`{key}`", self._said(key, value), shown, value["description"]]

    def _said(self, key: str, value: dict[str, Any]) -> str:
        """A type in plain words, linked where it is explained."""
        if "$ref" in value:
            name = value["$ref"].rpartition("/")[2]
            return "[point in time](#point-in-time)" if name == _POINT_IN_TIME else _link(self._parts[name]["title"])
        if "const" in value or "enum" in value:
            words = [value["const"]] if "const" in value else value["enum"]
            if len(words) > 8:
                return "a [metric](#metrics)" if key == "metric" else f"a {key}, as below"
            return _or([f"`{_as_yaml(word)}`" for word in words])
        if "anyOf" in value:
            return _or([self._said(key, each) for each in value["anyOf"] if each != {"type": "null"}])
        types = [each for each in _as_list(value["type"]) if each != "null"]
        if types == ["array"]:
            return f"list of {self._said(key, value['items'])}"
        if types == ["object"]:
            return self._map(key, value)
        title = value.get("title") or _or([_PLAIN.get(each, each) for each in types])
        words = f"[{title}](#{_EXPLAINED[title]})" if title in _EXPLAINED else title
        bounds = [f"{said} {_as_yaml(value[bound])}" for bound, said in _BOUNDS.items() if bound in value]
        return " ".join([words, *bounds])

    def _map(self, key: str, value: dict[str, Any]) -> str:
        if value.get("properties"):
            return f"{self._said(key, next(iter(value['properties'].values())))} for each {_singular(key)}"
        names = value.get("propertyNames", {"type": "string"})
        each = "phase" if "enum" in names else self._said(key, names)
        return f"{self._said(key, value['additionalProperties'])} for each {each}"

    def _choices(self, title: str, key: str, value: dict[str, Any]) -> Iterator[str]:
        """What each of a key's values, or of the keys below it, means."""
        if key == "metric":
            yield "#### Metrics\n"
            yield "What each can be asked for; `window` in a threshold says how far to look back instead.\n"
            yield from _table(["metric", "counted in", "better", "looks back to", "meaning"], _metrics())
            return
        meanings = _meanings(value)
        if not meanings:
            return
        if told := self._explained.get(tuple(meanings)):
            yield f"`{key}`: as in {_link(told)}.\n"
            return
        self._explained[tuple(meanings)] = title
        linked = "[`{}`](rules.md)" if key == "waive" else "`{}`"
        yield f"`{key}`:\n"
        yield "\n".join(f"- {linked.format(word)}: {meaning}" for word, meaning in meanings.items()) + "\n"


def _metrics() -> Iterator[list[str]]:
    for metric in METRICS.values():
        yield [f"`{metric.name}`", metric.unit, metric.better, _WINDOWS[metric.window], metric.description]


def _meanings(value: dict[str, Any]) -> dict[str, str]:
    if value.get("properties"):
        return {name: each["description"] for name, each in value["properties"].items()}
    for place in (value, value.get("items", {}), value.get("additionalProperties", {}), *value.get("anyOf", ())):
        if isinstance(place, dict) and "enumDescriptions" in place and "const" not in place:
            return dict(zip(place["enum"], place["enumDescriptions"], strict=True))
    return {}


def _parts_in(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """The parts that stand below a key, with their place in the file."""
    if not isinstance(value, dict):
        return
    if "$ref" in value:
        yield value["$ref"].rpartition("/")[2], place
    for each in value.get("anyOf", ()):
        yield from _parts_in(each, place)
    yield from _parts_in(value.get("items"), f"{place}[]")
    yield from _parts_in(value.get("additionalProperties"), f"{place}.<name>")
    for each in list(value.get("properties", {}).values())[:1]:
        yield from _parts_in(each, f"{place}.<{_singular(place)}>")


def _table(head: list[str], rows: Iterator[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"
    yield ""


def _link(title: str) -> str:
    """A link to a heading of this page: `[remedy step](#remedy-step)`."""
    return f"[{title.lower()}](#{re.sub('[^a-z0-9_ -]', '', title.lower()).replace(' ', '-')})"


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _as_yaml(value: Any) -> str:
    """`true`, `[hold]`, `0.000001`: as one writes it in the file."""
    if isinstance(value, list):
        return f"[{', '.join(map(_as_yaml, value))}]"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _singular(key: str) -> str:
    return {"phases": "phase", "waive": "rule"}[key]
