"""A plan's words: sandboxed Jinja2 over the template sources that the plan carries."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

from jinja2 import FunctionLoader, TemplateSyntaxError, Undefined, UndefinedError
from jinja2.exceptions import TemplateError, TemplateRuntimeError

from drumroll.errors import DrumrollError
from drumroll.launchfile.method import MomentValue
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.said import Said
from drumroll.words import phrases as say
from drumroll.words.sandbox import MAX_CHARACTERS, Named, Sandbox, message_of

EARLY = "reveal/early"
_PREFIX = "templates/"  # Jinja2 shows it as the file of a template's traceback frames
_CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")


class WordsError(DrumrollError):
    """A template that cannot be rendered. `template` is its name below `templates/`, `line` 1-based or 0 (unknown).

    `rule` is the id under which `check` reports it.
    """

    def __init__(
        self, message: str, *, template: str, line: int = 0, remedy: str = "", rule: str = "template/render"
    ) -> None:
        self.template = template
        self.line = line
        self.rule = rule
        super().__init__(
            message, where=f"templates/{template}:{line}" if line else f"templates/{template}", remedy=remedy
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """A finished text, and what it said that comes from the plan, in order."""

    text: str
    said: tuple[Said, ...]


@dataclass(slots=True)
class _Telling:
    """One rendering under way: for which local *now*, whether every word is to be its longest, what was said."""

    now: datetime
    worst: bool
    said: list[Said]


class _Spoken(str):
    """Words that note, when they are printed, what they said."""

    __slots__ = ("note",)
    note: Callable[[], None]

    def __str__(self) -> str:
        self.note()
        return str.__str__(self)


class Words:
    """Renders the steps of one plan. Templates compile once; the same step, instant and plan give the same text."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.zone = ZoneInfo(plan.launch.timezone)
        self.phrases = say.LOCALES[plan.launch.locale]
        self._known = {step.id: step for step in plan.steps}
        self._environment = Sandbox(FunctionLoader(self._source))

        self._environment.filters |= {
            "when": lambda at: self._told(at, self._when, "when"),
            "clock": lambda at: self._told(at, say.clock, "clock"),
            "day": lambda at: self._told(at, lambda local: say.day(self.phrases, local), "day"),
            "money": self._money,
        }
        self._telling = _Telling(self._local(plan.opens), worst=False, said=[])
        self._first_told = self._facts_by_instant()
        self._everywhere = self._in_every_text()

    def text(self, step: PlannedStep, *, now: datetime) -> str:
        """The finished text of `step` when it is `now` (UTC). Raises WordsError as `read` does."""
        return self.read(step, now=now).text

    def read(self, step: PlannedStep, *, now: datetime, worst: bool = False) -> Reading:
        """The finished text of `step` when it is `now` (UTC), and what it said that comes from the plan.

        With `worst`, every time and span is said in its longest form, whatever `now` is: what a late or a moved message
        may become. Raises WordsError naming template and line for syntax errors, undefined names, facts used before
        their time and output over `MAX_CHARACTERS`.
        """
        self._telling = telling = _Telling(self._local(now), worst, [])
        try:
            text = self._rendered(step, now)
        except WordsError:
            raise
        except TemplateSyntaxError as error:
            name = error.name or step.template
            what, remedy = f"template syntax: {message_of(error)}", self._environment.remedy(error)
            raise WordsError(what, template=name, line=error.lineno, remedy=remedy) from error
        except TemplateError as error:
            raise self._explained(error, step) from error
        except (SyntaxError, RecursionError) as error:  # what Jinja2 compiled was too much for Python
            raise WordsError("nested too deeply", template=step.template, remedy="write it plainer") from error
        except Exception as error:  # a template may do anything with anything
            name, line = _place(error, step.template)
            what = f"cannot be rendered: {str(error).rstrip('.')}"
            raise WordsError(what, template=name, line=line, remedy="correct the template") from error
        text = _plain(text, step.template)
        return Reading(text, tuple(_in_print(text, telling.said)))

    def _rendered(self, step: PlannedStep, now: datetime) -> str:
        pieces, length = [], 0
        for piece in self._environment.get_template(step.template).generate(self._context(step, now)):
            length += len(piece)
            if length > MAX_CHARACTERS:
                what = f"renders more than {MAX_CHARACTERS:,} characters"
                raise WordsError(what, template=step.template, remedy="shorten it")
            pieces.append(piece)
        return "".join(pieces)

    def label(self, step: PlannedStep) -> str:
        """The number as members see it."""
        return say.label(self.phrases, step.number)

    def short_label(self, step: PlannedStep) -> str:
        """The number as a sentence names it."""
        return say.short_label(self.phrases, step.number)

    def teaser(self, step: PlannedStep, *, now: datetime) -> dict[str, str] | None:
        """What this step may say of the next announcement: when, topic (or the declared mystery) and label."""
        if step.follows_up is None:
            return None
        following = self._known[step.follows_up]
        return {
            "when": say.when(self.phrases, self._local(following.due), now=self._local(now)),
            "topic": following.mystery or following.topic or "",
            "label": self.short_label(following),
        }

    def _source(self, name: str) -> tuple[str, str, None] | None:
        source = self.plan.templates.get(name)
        return None if source is None else (source, _PREFIX + name, None)

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(self.zone)

    def _when(self, local: datetime) -> str:
        if self._telling.worst:
            return say.longest_when(self.phrases, local)
        return say.when(self.phrases, local, now=self._telling.now)

    def _told(self, at: Any, say_it: Callable[[datetime], str], form: str) -> str:
        local = self._moment(at)
        words = say_it(local)
        self._telling.said.append(Said("time", local.astimezone(UTC), words, form))
        return words

    def _tell_value(self, source: str, name: str, value: Any) -> Any:
        """Note a fact or a promise that a template reaches for; a fact that is a moment is noted by its filter."""
        if isinstance(value, str):
            self._telling.said.append(Said(source, None, value, name=name))
        return value

    def _tell_teaser(self, step: PlannedStep, name: str, words: str) -> str:
        following = self._known[step.follows_up or ""]
        if name == "when" and self._telling.worst:
            words = say.longest_when(self.phrases, self._local(following.due))
        self._telling.said.append(Said(f"teaser.{name}", following.due if name == "when" else None, words))
        return words

    def _left(self, target: datetime, now: datetime) -> str:
        """Time left, noted as said only where a template prints it."""
        span, telling = target - now, self._telling
        words = _Spoken(say.longest_left(self.phrases, span) if telling.worst else say.left(self.phrases, span))
        words.note = lambda: telling.said.append(Said("left", target, str.__str__(words)))
        return words

    def _moment(self, at: Any) -> datetime:
        if not isinstance(at, datetime | Undefined):
            raise TemplateRuntimeError(f'"{at}" is no point in time like opens, counts_to or now')
        return self._local(cast("datetime", at))

    def _money(self, amount: Any) -> str:
        currency = self.plan.launch.product.currency
        if currency is None:
            raise TemplateRuntimeError("there is no amount to tell: the launch has no product.price")
        if not isinstance(amount, int | float | Decimal | Undefined):
            raise TemplateRuntimeError(f'"{amount}" is no amount like product.price')
        words = say.money(self.phrases, cast("Decimal", amount), currency)
        self._telling.said.append(Said("money", None, words))
        return words

    def _facts_by_instant(self) -> dict[str, tuple[datetime, str]]:
        told: dict[str, tuple[datetime, str]] = {}
        for step in self.plan.steps:
            for fact in step.reveals:
                told.setdefault(fact, (step.due, step.id))
        return told

    def _facts(self, step: PlannedStep) -> dict[str, str | datetime]:
        if EARLY in self.plan.launch.waive:
            return self._values(self.plan.launch.facts, self.plan.moments)

        def is_known(fact: str) -> bool:
            told = self._first_told.get(fact)
            return told is None or told[0] < step.due or fact in step.reveals or told[1] == step.id

        known = {fact: value for fact, value in self.plan.launch.facts.items() if is_known(fact)}
        return self._values(known, self.plan.moments)

    def _values(self, values: Mapping[str, Any], moments: Mapping[str, datetime]) -> dict[str, Any]:
        """Values as templates see them: a point in time as a local datetime."""
        plain = {name: value for name, value in values.items() if not isinstance(value, MomentValue)}
        return plain | {name: self._local(at) for name, at in moments.items() if name in values}

    def _in_every_text(self) -> dict[str, Any]:
        """What is the same for every step."""
        launch = self.plan.launch
        return {
            "launch": Named("launch", {"name": launch.name, "title": launch.title}),
            "product": Named("product", launch.product.model_dump()),
            "team": Named("team", {"name": launch.team.name}),
            "promises": Named("promises", launch.promises, lambda *told: self._tell_value("promise", *told)),
            "opens": self._local(self.plan.opens),
        }

    def _context(self, step: PlannedStep, now: datetime) -> dict[str, Any]:
        launch, local_now = self.plan.launch, self._local(now)
        target = step.counts_to or self.plan.opens
        teaser = self.teaser(step, now=now)
        told = {"label": self.label(step), "number": step.number, "topic": step.topic, "kind": step.kind}
        promise = launch.promises.get(step.keeps or "")
        self._tell_value("promise", step.keeps or "", promise)
        return {
            **self._everywhere,
            "facts": Named("facts", self._facts(step), lambda *told: self._tell_value("fact", *told)),
            "vars": Named("vars", {**step.vars, **self._values(step.moments, step.moments)}),
            "promise": promise,
            "step": Named("step", told),
            "teaser": None if teaser is None else Named("teaser", teaser, lambda *told: self._tell_teaser(step, *told)),
            "counts_to": self._local(target),
            "left": self._left(target, now),
            "now": local_now,
        }

    def _explained(self, error: TemplateError, step: PlannedStep) -> WordsError:
        message, remedy = message_of(error), self._environment.remedy(error)
        template, line = _place(error, step.template)
        rule = "template/render"
        owner, _, fact = message.removesuffix(" is undefined").partition(".")
        if isinstance(error, UndefinedError) and owner == "facts" and fact in self.plan.launch.facts:
            message = f'tells the fact "{fact}" before its time'
            remedy, rule = f'step "{self._first_told[fact][1]}" is the one that reveals it', EARLY
        elif isinstance(error, UndefinedError):
            remedy = "add it to the step's vars or to facts, or correct the name"
        return WordsError(message, template=template, line=line, remedy=remedy, rule=rule)


def _in_print(text: str, said: Iterable[Said]) -> Iterator[Said]:
    """What was said: of facts and promises that a template reached for, those it printed, each once."""
    printed = set()
    for one in said:
        if one.source in {"fact", "promise"}:
            if one in printed or _trimmed(one.words) not in text:
                continue
            printed.add(one)
        yield one


def _place(error: BaseException, template: str) -> tuple[str, int]:
    """Name and line of the innermost template frame; Jinja2 rewrites tracebacks to template names and lines."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(_PREFIX):
            template, line = file.removeprefix(_PREFIX), trace.tb_lineno
        trace = trace.tb_next
    return template, line


def _plain(text: str, template: str) -> str:
    if found := _CONTROL.search(text.replace("\r\n", "\n")):
        raise WordsError(f"control character U+{ord(found[0]):04X}", template=template, remedy="remove it")
    return _trimmed(text)


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
