"""A plan's words: sandboxed Jinja2 over the template sources that the plan carries."""

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import DictLoader, StrictUndefined, TemplateSyntaxError, UndefinedError, pass_context
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from drumroll.errors import DrumrollError
from drumroll.plan.model import Plan, PlannedStep
from drumroll.words import phrases as say

MAX_CHARACTERS = 20_000


class WordsError(DrumrollError):
    """A template that cannot be rendered. `template` is its name below `templates/`, `line` 1-based or 0 (unknown)."""

    def __init__(self, message: str, *, template: str, line: int = 0, remedy: str = "") -> None:
        self.template = template
        self.line = line
        super().__init__(
            message, where=f"templates/{template}:{line}" if line else f"templates/{template}", remedy=remedy
        )


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, plus a bound on what one operator may build: `'a' * 10**8` is refused, not rendered."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or isinstance(left, str | list | tuple) or isinstance(right, str | list | tuple):
            raise SecurityError(f"the operator {operator} is not allowed here")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str) and attr in {"center", "ljust", "rjust", "zfill", "expandtabs", "format", "format_map"}:
            return False
        return super().is_safe_attribute(obj, attr, value)


class Words:
    """Renders the steps of one plan. Templates compile once; the same step, instant and plan give the same text."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.zone = ZoneInfo(plan.launch.timezone)
        self.phrases = say.LOCALES[plan.launch.locale]
        self._known = {step.id: step for step in plan.steps}
        self._environment = _Environment(
            loader=DictLoader(dict(plan.templates)),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # chat text, not markup; pages have an environment of their own
        )
        for padding in ("center", "format", "indent", "wordwrap", "pprint"):
            self._environment.filters.pop(padding, None)

        @pass_context
        def when(context: Context, at: datetime) -> str:
            return say.when(self.phrases, self._local(at), now=context["now"])

        self._environment.filters |= {
            "when": when,
            "clock": lambda at: say.clock(self._local(at)),
            "day": lambda at: say.day(self.phrases, self._local(at)),
            "money": lambda amount: say.money(self.phrases, amount, plan.launch.product.currency),
        }
        self._first_told = self._facts_by_instant()

    def text(self, step: PlannedStep, *, now: datetime) -> str:
        """The finished text of `step` when it is `now` (UTC).

        Raises WordsError naming template and line for syntax errors, undefined names, facts used before their time and
        output over `MAX_CHARACTERS`.
        """
        try:
            template = self._environment.get_template(step.template)
            pieces, length = [], 0
            for piece in template.generate(self._context(step, now)):
                length += len(piece)
                if length > MAX_CHARACTERS:
                    raise WordsError(f"renders more than {MAX_CHARACTERS:,} characters", template=step.template)
                pieces.append(piece)
        except TemplateSyntaxError as error:
            name = error.name or step.template
            raise WordsError(f"template syntax: {error.message}", template=name, line=error.lineno) from error
        except TemplateError as error:
            raise self._explained(error, step) from error
        except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError) as error:
            message = f"cannot be rendered: {error}"
            raise WordsError(message, template=step.template, line=_line_in_template(error)) from error
        return "\n".join(line.rstrip() for line in "".join(pieces).strip().splitlines())

    def label(self, step: PlannedStep) -> str:
        """The number as members see it."""
        return say.label(self.phrases, step.number)

    def teaser(self, step: PlannedStep, *, now: datetime) -> dict[str, str] | None:
        """What this step may say of the next announcement: when, topic (or the declared mystery) and label."""
        if step.follows_up is None:
            return None
        following = self._known[step.follows_up]
        return {
            "when": say.when(self.phrases, self._local(following.due), now=self._local(now)),
            "topic": following.mystery or following.topic or "",
            "label": self.label(following),
        }

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(self.zone)

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
        return {
            "launch": {"name": launch.name, "title": launch.title},
            "product": launch.product.model_dump(),
            "team": {"name": launch.team.name},
            "facts": self._facts(step),
            "vars": step.vars,
            "step": {"label": self.label(step), "number": step.number, "topic": step.topic, "kind": step.kind},
            "teaser": self.teaser(step, now=now),
            "opens": self._local(self.plan.opens),
            "counts_to": self._local(target),
            "left": say.left(self.phrases, target - now),
            "now": local_now,
        }

    def _explained(self, error: TemplateError, step: PlannedStep) -> WordsError:
        message, remedy = str(error.message), ""
        line = _line_in_template(error)
        name = re.search(r"(?:attribute|')\s*'?(\w+)'?(?: is undefined)?$", message)
        fact = name[1] if name else ""
        if isinstance(error, UndefinedError) and fact in self._first_told and fact in self.plan.launch.facts:
            message = f'tells the fact "{fact}" before its time'
            remedy = f'step "{self._first_told[fact][1]}" is the one that reveals it'
        elif isinstance(error, UndefinedError):
            message = f"undefined: {message}"
            remedy = "add it to the step's vars or to facts, or correct the name"
        return WordsError(message, template=step.template, line=line, remedy=remedy)


def _line_in_template(error: BaseException) -> int:
    """The template line of the innermost template frame; Jinja2 rewrites tracebacks to template lines."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
