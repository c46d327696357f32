"""What a suspense rule is: a small pure function over one compiled launch, with an id, a reason and an example."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo

from drumroll.capability import Capability
from drumroll.launchfile.models import Launch
from drumroll.plan.model import Plan, PlannedStep
from drumroll.plan.said import Said, Use

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Subject:
    """One compiled launch as the rules see it.

    `steps` are the planned steps in order of their instants, then the gates' remedies (which may never come), each with
    its place in the file in `places`. `texts` has the finished text of each of them at its instant, `worst` its longest
    form, `said` what it told of the plan's times and topics (by step id; a step whose text could not be rendered is in
    none of them). `uses` has the names each template uses. `capabilities` are by channel name. `labels` is how a text
    names each numbered step, `teasers` what each of them may say of the next one: `when`, `topic` and `label`.
    """

    plan: Plan
    steps: tuple[PlannedStep, ...]
    places: Mapping[str, Path]
    texts: Mapping[str, str]
    worst: Mapping[str, str]
    said: Mapping[str, tuple[Said, ...]]
    uses: Mapping[str, tuple[Use, ...]]
    capabilities: Mapping[str, Capability]
    labels: Mapping[str, str]
    teasers: Mapping[str, Mapping[str, str]]

    @property
    def launch(self) -> Launch:
        """The launch file."""
        return self.plan.launch

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone of all local times."""
        return ZoneInfo(self.plan.launch.timezone)

    @cached_property
    def serial(self) -> tuple[PlannedStep, ...]:
        """The numbered announcements in order."""
        return tuple(step for step in self.plan.steps if step.number is not None)

    @cached_property
    def by_id(self) -> Mapping[str, PlannedStep]:
        """Every step and remedy by id."""
        return {step.id: step for step in self.steps}

    @cached_property
    def channel_of(self) -> Mapping[str, str]:
        """Channel of each group."""
        return {group.id: group.channel for group in self.launch.community.groups}


@dataclass(frozen=True, slots=True)
class Breach:
    """A place where a launch breaks a rule: its path in the launch file, what is wrong, what to do."""

    path: Path
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to a sound launch: in `file` ("": the launch file, else a template), `sound` becomes `broken`."""

    sound: str
    broken: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of suspense. `reason` is for the person who wants to break it.

    `example` turns a sound launch (what `drumroll new` writes) into one that trips this rule; read backwards it is the
    smallest repair.
    """

    id: str
    title: str
    reason: str
    check: Callable[[Subject], Iterable[Breach]]
    example: tuple[Edit, ...]
    severity: Literal["error", "warning"] = "error"
