"""Where templates run: a Jinja2 sandbox with bounds, in which nothing is guessed and nothing says "None" to members."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from types import CodeType, NoneType
from typing import Any

from jinja2 import BaseLoader, BytecodeCache, StrictUndefined
from jinja2.bccache import Bucket
from jinja2.exceptions import SecurityError, TemplateError, TemplateRuntimeError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from drumroll.launchfile.load import did_you_mean

MAX_CHARACTERS = 20_000
_NUMBERS = (int, float, Decimal)
_MAX_BITS = 256  # of a product: amounts and minutes need a few dozen
# What pads or multiplies text without bound, and what says something else every time.
_LEFT_OUT = ("batch", "center", "format", "indent", "pprint", "random", "slice", "wordwrap")
_NOT_NAMED = re.compile(r"No (filter|test) named '([^']*)'")


def message_of(error: TemplateError) -> str:
    """Jinja2's words without the full stop at their end: a remedy follows."""
    return (error.message or "no reason given").rstrip(".")


class Named:
    """Values that templates reach after a dot. No dict: of one, `facts.items` would be a method and be printed.

    `told(name, value)` is asked for the value whenever a template reaches for one, or loops over them all.
    """

    __slots__ = ("_name", "_told", "_values")

    def __init__(
        self, name: str, values: Mapping[str, Any], told: Callable[[str, Any], Any] = lambda _, value: value
    ) -> None:
        self._name = name
        self._values = values
        self._told = told

    def __getitem__(self, name: str) -> Any:
        return self._told(name, self._values[name])

    def __iter__(self) -> Iterator[Any]:
        return (self._told(name, value) for name, value in self._values.items())

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        return self._name


class Unknown(StrictUndefined):
    """Undefined, and it says so as the template does: `facts.host`."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint or not isinstance(self._undefined_obj, Named):
            return super()._undefined_message
        return f"{self._undefined_obj!r}.{self._undefined_name} is undefined"


def printed(value: Any) -> Any:
    """What stands in `{{ … }}` must be words or a number: nobody should read "None" or "<function …>"."""
    if isinstance(value, str | int | float | Decimal | StrictUndefined) and not isinstance(value, bool):
        return value
    kind = {NoneType: "none", bool: "true or false", datetime: "a point in time"}.get(type(value), "no text")
    raise TemplateRuntimeError(f"prints {kind}, where words or a number should stand")


class _Compiled(BytecodeCache):
    """Compiled templates of this process, the newest ones: compiling costs ten times what rendering does.

    Every Sandbox compiles alike, so code is shared between them; Jinja2 compares the checksum of the source.
    """

    _MOST = 2_000

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is None:
            return
        while len(self._codes) >= self._MOST:
            del self._codes[next(iter(self._codes))]
        self._codes[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


class Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox, plus a bound on what one operator may build: `'a' * 10**8` is refused, not rendered."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self, loader: BaseLoader) -> None:
        super().__init__(
            loader=loader,
            undefined=Unknown,
            finalize=printed,
            trim_blocks=True,
            lstrip_blocks=True,
            bytecode_cache=_COMPILED,
            autoescape=False,  # chat text, not markup; pages have an environment of their own
        )
        for name in _LEFT_OUT:
            self.filters.pop(name, None)
        self.globals.pop("lipsum", None)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+":
            if isinstance(left, str) and len(left) > MAX_CHARACTERS:
                raise SecurityError(f"a text of more than {MAX_CHARACTERS:,} characters is not allowed here")
            return super().call_binop(context, operator, left, right)
        if operator == "**" or not (isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS)):
            raise SecurityError(f"the operator {operator} is not allowed here")
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _MAX_BITS:
            raise SecurityError("a number that large is not allowed here")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr in {"center", "ljust", "rjust", "zfill", "expandtabs", "format", "format_map"}:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def remedy(self, error: TemplateError) -> str:
        """What to do about an error of a template that ran, or was to run, in this sandbox."""
        message = message_of(error)
        if found := _NOT_NAMED.match(message):
            kind, name = found.groups()
            if kind == "filter" and name in _LEFT_OUT:
                return "it is left out here; write the words out"
            known = self.filters if kind == "filter" else self.tests
            return did_you_mean(name, known, otherwise=f"use one of Jinja2's own {kind}s")
        if isinstance(error, TemplateSyntaxError):
            return "correct the template"
        if isinstance(error, SecurityError):
            ours = message.endswith("not allowed here")
            return "give the finished words in `vars`" if ours else "templates may not reach into Python"
        return "ask for it first with {% if … %}, or use a filter that fits"
