"""A plan's words: sandboxed Jinja2 over the template sources that the plan carries."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

from jinja2 import FunctionLoader, TemplateSyntaxError, Undefined, UndefinedError, pass_context
from jinja2.exceptions import TemplateError, TemplateRuntimeError
from jinja2.runtime import Context

from drumroll.errors import DrumrollError
from drumroll.plan.model import Plan, PlannedStep
from drumroll.words import phrases as say
from drumroll.words.sandbox import MAX_CHARACTERS, Named, Sandbox, message_of

_PREFIX = "templates/"  # Jinja2 shows it as the file of a template's traceback frames
_CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")


class WordsError(DrumrollError):
    """A template that cannot be rendered. `template` is its name below `templates/`, `line` 1-based or 0 (unknown)."""

    def __init__(self, message: str, *, template: str, line: int = 0, remedy: str = "") -> None:
        self.template = template
        self.line = line
        super().__init__(
            message, where=f"templates/{template}:{line}" if line else f"templates/{template}", remedy=remedy
        )


class Words:
    """Renders the steps of one plan. Templates compile once; the same step, instant and plan give the same text."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.zone = ZoneInfo(plan.launch.timezone)
        self.phrases = say.LOCALES[plan.launch.locale]
        self._known = {step.id: step for step in plan.steps}
        self._environment = Sandbox(FunctionLoader(self._source))

        @pass_context
        def when(context: Context, at: datetime) -> str:
            return say.when(self.phrases, self._moment(at), now=context["now"])

        self._environment.filters |= {
            "when": when,
            "clock": lambda at: say.clock(self._moment(at)),
            "day": lambda at: say.day(self.phrases, self._moment(at)),
            "money": self._money,
        }
        self._first_told = self._facts_by_instant()

    def text(self, step: PlannedStep, *, now: datetime) -> str:
        """The finished text of `step` when it is `now` (UTC).

        Raises WordsError naming template and line for syntax errors, undefined names, facts used before their time and
        output over `MAX_CHARACTERS`.
        """
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
        return _plain(text, step.template)

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

    def _moment(self, at: Any) -> datetime:
        if not isinstance(at, datetime | Undefined):
            raise TemplateRuntimeError(f'"{at}" is no point in time like opens, counts_to or now')
        return self._local(cast("datetime", at))

    def _money(self, amount: Any) -> str:
        if not isinstance(amount, int | float | Decimal | Undefined):
            raise TemplateRuntimeError(f'"{amount}" is no amount like product.price')
        return say.money(self.phrases, cast("Decimal", amount), self.plan.launch.product.currency)

    def _facts_by_instant(self) -> dict[str, tuple[datetime, str]]:
        told: dict[str, tuple[datetime, str]] = {}
        for step in self.plan.steps:
            for fact in step.reveals:
                told.setdefault(fact, (step.due, step.id))
        return told

    def _facts(self, step: PlannedStep) -> dict[str, str]:
        def is_known(fact: str) -> bool:
            told = self._first_told.get(fact)
            return told is None or told[0] < step.due or fact in step.reveals or told[1] == step.id

        return {fact: value for fact, value in self.plan.launch.facts.items() if is_known(fact)}

    def _context(self, step: PlannedStep, now: datetime) -> dict[str, Any]:
        launch, local_now = self.plan.launch, self._local(now)
        target = step.counts_to or self.plan.opens
        teaser = self.teaser(step, now=now)
        told = {"label": self.label(step), "number": step.number, "topic": step.topic, "kind": step.kind}
        return {
            "launch": Named("launch", {"name": launch.name, "title": launch.title}),
            "product": Named("product", launch.product.model_dump()),
            "team": Named("team", {"name": launch.team.name}),
            "facts": Named("facts", self._facts(step)),
            "vars": Named("vars", step.vars),
            "step": Named("step", told),
            "teaser": None if teaser is None else Named("teaser", teaser),
            "opens": self._local(self.plan.opens),
            "counts_to": self._local(target),
            "left": say.left(self.phrases, target - now),
            "now": local_now,
        }

    def _explained(self, error: TemplateError, step: PlannedStep) -> WordsError:
        message, remedy = message_of(error), self._environment.remedy(error)
        template, line = _place(error, step.template)
        owner, _, fact = message.removesuffix(" is undefined").partition(".")
        if isinstance(error, UndefinedError) and owner == "facts" and fact in self.plan.launch.facts:
            message = f'tells the fact "{fact}" before its time'
            remedy = f'step "{self._first_told[fact][1]}" is the one that reveals it'
        elif isinstance(error, UndefinedError):
            remedy = "add it to the step's vars or to facts, or correct the name"
        return WordsError(message, template=template, line=line, remedy=remedy)


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
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
