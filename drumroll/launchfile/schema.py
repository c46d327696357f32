"""The launch file as JSON Schema (draft 2020-12), for editors: completion, descriptions, and mistakes underlined.

Made from the models and the registries. Where a schema cannot know (names that point at other names, the order of
moments, daylight saving), `drumroll check` does.
"""

import re
from datetime import timedelta
from importlib import import_module
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from drumroll.channels.registry import KINDS, channel_class
from drumroll.launchfile.choices import CHOICES, PHASES
from drumroll.launchfile.fields import Part, write_duration
from drumroll.launchfile.models import Launch
from drumroll.metrics.registry import METRICS
from drumroll.sources.registry import SOURCES
from drumroll.suspense.registry import RULES

DIALECT = GenerateJsonSchema.schema_dialect
_DECIMAL = r"^\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*$"


def launch_schema() -> dict[str, Any]:
    """The schema of a launch file; the same bytes on every machine. `$defs` has one entry for each part of the file.

    `enumDescriptions` and `patternErrorMessage` are for editors on VS Code's YAML server; validators pass over them.
    """
    schema = _of_model(Launch)
    parts: dict[str, Any] = schema.pop("$defs")
    for place, meanings in CHOICES.items():
        model, _, key = place.partition(".")
        part = schema if model == "Launch" else parts[model]
        _describe_choices(part["properties"][key], meanings)
    _channels(parts)
    _metrics(parts["Threshold"])
    _enter(parts["SourceSpec"]["properties"]["kind"], {kind: _sentence(SOURCES[kind]) for kind in sorted(SOURCES)})
    _whole_file(schema["properties"])
    for part in (schema, *parts.values()):
        for value in part["properties"].values():
            _describe(value, parts)
    title = {"$schema": DIALECT, "title": "Drumroll launch file"}
    return {**title, **{key: schema[key] for key in schema if key != "title"}, "$defs": dict(sorted(parts.items()))}


def options_name(kind: str) -> str:
    """The entry of `$defs` with a channel kind's own keys: `webhook` → `webhook_channel`."""
    return f"{kind}_channel"


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, less what only repeats a name, and with the shapes that editors explain best."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def encode_default(self, dft: Any) -> Any:
        return write_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        result = super().default_schema(schema)
        if result.get("default", ...) is None:
            del result["default"]
        return result

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        """A key that is there, but empty, is the same as one that is not; one `type` reads better than `anyOf`."""
        inner = self.generate_inner(schema["schema"])
        if "type" not in inner or "enum" in inner:
            return {"anyOf": [inner, {"type": "null"}]}
        types = inner["type"] if isinstance(inner["type"], list) else [inner["type"]]
        return {**inner, "type": [*types, "null"]}

    def decimal_schema(self, schema: Any) -> JsonSchemaValue:
        number = super().decimal_schema(schema)["anyOf"][0]
        return {**number, "type": ["number", "string"], "title": "amount", "pattern": _DECIMAL}

    def union_schema(self, schema: Any) -> JsonSchemaValue:
        """`{"type": ["string", "number"]}` for what is nothing but a choice of plain types."""
        shapes = [self.generate_inner(each[0] if isinstance(each, tuple) else each) for each in schema["choices"]]
        plain = [shape["type"] for shape in shapes if set(shape) == {"type"} and shape["type"] != "integer"]
        others = [shape for shape in shapes if set(shape) != {"type"}]
        return {"anyOf": [*([{"type": plain[0] if len(plain) == 1 else plain}] if plain else []), *others]}

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        """Pydantic would let pass every key that does not match."""
        result = {"type": "object", "additionalProperties": self.generate_inner(schema["values_schema"])}
        keys = self.generate_inner(schema["keys_schema"])
        if set(keys) != {"type"}:
            result["propertyNames"] = keys
        self.update_with_validations(result, schema, self.ValidationsMapping.object)
        return result


def _of_model(model: type[Part]) -> dict[str, Any]:
    schema = model.model_json_schema(schema_generator=_Generator)
    for name, part in schema.get("$defs", {}).items():
        if part.get("title") == name:  # RemedyStep → Remedy step
            part["title"] = re.sub("(?<=[a-z])[A-Z]", lambda found: " " + found[0].lower(), name)
    return schema


def _describe(value: dict[str, Any], parts: dict[str, Any]) -> None:
    """A key that says nothing of itself is described by the part below it."""
    for place in (value, *value.get("anyOf", ())):
        if "$ref" in place:
            value.setdefault("description", parts[place["$ref"].rpartition("/")[2]]["description"])


def _describe_choices(value: dict[str, Any], meanings: dict[str, str]) -> None:
    """Enter what each value of the enum in `value` means, which may stand below a list, a map or a choice."""
    for place in (value, value.get("items", {}), value.get("additionalProperties", {}), *value.get("anyOf", ())):
        if isinstance(place, dict) and "enum" in place:
            place["enumDescriptions"] = [meanings[word] for word in place["enum"]]
            return
    raise KeyError(f"no enum in {value}")


def _enter(value: dict[str, Any], meanings: dict[str, str]) -> None:
    """Narrow a text to these words."""
    value.update(enum=list(meanings), enumDescriptions=list(meanings.values()))


def _sentence(dotted: str) -> str:
    """The first line of the docstring of the module that holds a channel or source kind."""
    module = dotted.partition(":")[0] if ":" in dotted else dotted.rpartition(".")[0]
    return (import_module(module).__doc__ or "").partition("\n")[0]


def _channels(parts: dict[str, Any]) -> None:
    """By `kind`: the keys of that kind's own Options, and no others."""
    spec, kinds = parts["ChannelSpec"], {kind: _sentence(KINDS[kind]) for kind in sorted(KINDS)}
    named = spec["properties"]["kind"]
    spec.pop("additionalProperties", None)
    spec["allOf"] = []
    for kind, sentence in kinds.items():
        options = _of_model(channel_class(kind).Options)
        parts.update(options.pop("$defs", {}))
        keys = {"kind": {"const": kind, **named}, **options.get("properties", {})}
        parts[options_name(kind)] = {
            **options,
            "required": ["kind", *options.get("required", ())],
            "title": f"Channel: {kind}",
            "description": sentence,
            "properties": keys,
        }
        chosen = {"properties": {"kind": {"const": kind}}, "required": ["kind"]}
        spec["allOf"].append({"if": chosen, "then": {"$ref": f"#/$defs/{options_name(kind)}"}})
    _enter(named, kinds)


def _metrics(threshold: dict[str, Any]) -> None:
    """Which metrics there are; and a share is between 0 and 1, so that 25 is not taken for 25%."""
    _enter(threshold["properties"]["metric"], {name: metric.description for name, metric in METRICS.items()})
    shares = sorted(name for name, metric in METRICS.items() if metric.unit == "share")
    limits = {"minimum": 0, "maximum": 1}
    threshold["if"] = {"properties": {"metric": {"enum": shares}}, "required": ["metric"]}
    threshold["then"] = {"properties": dict.fromkeys(("at_least", "at_most", "abort_if"), limits)}


def _whole_file(keys: dict[str, Any]) -> None:
    from drumroll.words.phrases import LOCALES  # noqa: PLC0415 - words come after the launch file

    keys["locale"] = {"description": keys["locale"]["description"], "enum": sorted(LOCALES)}
    phase = keys["phases"].pop("additionalProperties")
    del keys["phases"]["propertyNames"]
    keys["phases"]["properties"] = {name: {**phase, "description": meaning} for name, meaning in PHASES.items()}
    keys["phases"]["additionalProperties"] = False
    reason = keys["waive"]["additionalProperties"]
    keys["waive"]["propertyNames"] = {"enum": list(RULES)}
    keys["waive"]["properties"] = {rule.id: {**reason, "description": rule.title} for rule in RULES.values()}
