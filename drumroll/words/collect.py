"""Gathers the template sources a launch uses, so that the plan can carry them."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path as FilePath

from jinja2 import Environment, TemplateSyntaxError, meta

from drumroll.launchfile.load import Findings, did_you_mean
from drumroll.launchfile.models import Launch, RemedyStep, Step
from drumroll.launchfile.strict import Path
from drumroll.plan.said import Use
from drumroll.words.names import names_used, with_included
from drumroll.words.sandbox import message_of
from drumroll.words.templates import SUFFIX, candidates, locales, source_for


@lru_cache(maxsize=2_000)
def _analysed(name: str, source: str) -> tuple[tuple[Use, ...], tuple[str | None, ...]]:
    """The names that a template uses, and the templates that it includes (None: a computed name)."""
    tree = Environment().parse(source)  # noqa: S701 - parses only, renders nothing
    return names_used(name, tree), tuple(meta.find_referenced_templates(tree))


class Collected:
    """Sources by name, and which template each step uses. Every problem is reported once, at the step that needs it.

    They come from the project's files or, with `stored`, from there alone: finished ones, as a plan carries them.
    """

    def __init__(
        self, project: FilePath, launch: Launch, findings: Findings, stored: Mapping[str, str] | None = None
    ) -> None:
        self._project = project
        self._stored = stored
        self._findings = findings
        self._launch = launch
        self._by_step: dict[str, str | None] = {}
        self._on_disk: dict[str, str | None] = {}
        self._names: dict[str, tuple[Use, ...]] = {}
        self._includes: dict[str, list[str]] = {}
        self.sources: dict[str, str] = {}
        for phase, plan in launch.phases.items():
            for index, step in enumerate(plan.steps):
                self._collect(phase, step, ("phases", phase, "steps", index))
            for index, remedy in enumerate(plan.gate.remedy if plan.gate else ()):
                self._collect(phase, remedy, ("phases", phase, "gate", "remedy", index))

    def template_for(self, phase: str, step: Step | RemedyStep) -> str | None:
        """The name of the step's template; None when it has none (and that is reported)."""
        return self._by_step.get(f"{phase}/{step.id}")

    def uses(self) -> dict[str, tuple[Use, ...]]:
        """What each template of a step uses of the plan's names, its includes' names among them."""
        templates = {name for name in self._by_step.values() if name is not None}
        return {name: with_included(self._names, self._includes, name) for name in templates}

    def _collect(self, phase: str, step: Step | RemedyStep, path: Path) -> None:
        names = list(candidates(self._launch, phase, step))
        found = next((name for name in names if self._source(name, path) is not None), None)
        self._by_step[f"{phase}/{step.id}"] = found
        if found is None:
            place = (*path, "template") if step.template else path
            remedy = self._remedy(names, phase, step)
            self._findings.add(
                "name/template", place, f'unknown template "{step.template or f"{phase}/{step.id}"}"', remedy
            )
            return
        self._add(found, path)

    def _source(self, name: str, path: Path) -> str | None:
        if self._stored is not None:
            return self._stored.get(name)
        if name not in self._on_disk:
            try:
                self._on_disk[name] = source_for(self._project, self._launch, name)
            except (ValueError, OSError) as error:
                what = f"templates/{name} cannot be read: {error}"
                self._findings.add("template/unreadable", path, what, "save it as UTF-8 text")
                self._on_disk[name] = ""
        return self._on_disk[name]

    def _add(self, name: str, path: Path, by: str = "") -> None:
        """Take in a template and, through it, what it includes, imports or extends; `by` is the one that does."""
        if name in self.sources:
            return
        source = self._source(name, path)
        if source is None:
            what = f'unknown template "{name}", which templates/{by} includes'
            self._findings.add("name/template", path, what, "create it, or correct the name there")
            return
        self.sources[name] = source
        try:
            self._names[name], referenced = _analysed(name, source)
            self._includes[name] = [other for other in referenced if other is not None]
        except TemplateSyntaxError as error:
            what = f"templates/{name}:{error.lineno}: template syntax: {message_of(error)}"
            self._findings.add("template/syntax", path, what, "correct the template")
            return
        except (RecursionError, ValueError) as error:  # nested too deeply, a number too long
            what = f"templates/{name}: template syntax: {error}"
            self._findings.add("template/syntax", path, what, "write it plainer")
            return
        for other in referenced:
            if other is None:
                what = f"templates/{name} includes a computed name"
                self._findings.add("template/dynamic", path, what, "write the name out")
            else:
                self._add(other, path, by=name)

    def _remedy(self, names: list[str], phase: str, step: Step | RemedyStep) -> str:
        roots = [self._project / "templates" / locale for locale in locales(self._launch)]
        files = [file.relative_to(root) for root in roots for file in sorted(root.rglob(f"*{SUFFIX}"))]
        if step.template:
            word, known = step.template, [file.as_posix().removesuffix(SUFFIX) for file in files]
        else:
            word, known = step.id, [file.name.removesuffix(SUFFIX) for file in files if file.parent.name == phase]
        return did_you_mean(word, known, otherwise="create one of: " + ", ".join(f"templates/{name}" for name in names))
