"""The plan: a launch file compiled to absolute instants, numbers and chained teasers."""

from datetime import datetime, timedelta

from drumroll.capability import Format
from drumroll.launchfile.fields import Part
from drumroll.launchfile.models import Launch, OnLate, PhaseName, RemedyStep, StepKind


def shown(plan_hash: str) -> str:
    """A plan's hash as people see it: its first 12 digits."""
    return plan_hash[:12]


def remedy_step_id(phase: str, remedy: RemedyStep) -> str:
    """The id under which a remedy's deliveries stand in the ledger; occurrences count its repeats."""
    return f"{phase}.remedy.{remedy.id}"


class PlannedStep(Part):
    """One step with everything resolved. All datetimes are UTC-aware.

    `number` counts serial announcements across the whole launch from 1 (None: unnumbered). `follows_up` is the id of
    the next serial announcement, which this one teases (None: not serial, or the last). `groups` are the groups it goes
    to; with `segment`, only that segment's members in them, addressed directly and worked out when it fires.
    `moments` are the vars that are points in time; `vars` holds the others.
    """

    id: str
    phase: PhaseName
    kind: StepKind
    due: datetime
    number: int | None = None
    topic: str | None = None
    mystery: str | None = None
    follows_up: str | None = None
    counts_to: datetime | None = None
    template: str
    vars: dict[str, str | int | float | bool] = {}
    moments: dict[str, datetime] = {}
    keeps: str | None = None
    groups: tuple[str, ...]
    segment: str | None = None
    reveals: tuple[str, ...] = ()
    format: Format = "text"
    attach: tuple[str, ...] = ()
    pin: bool = False
    mention_all: bool = False
    on_late: OnLate
    max_late: timedelta


class Attached(Part):
    """A file of the project as it was when the plan was made: what is sent is this, or nothing."""

    sha256: str
    size: int


class PlannedPhase(Part):
    """One phase: `gate_at` is when its gate is first read, `latest` when slack is used up."""

    name: PhaseName
    goal: str
    starts: datetime
    gate_at: datetime
    latest: datetime


class Plan(Part):
    """One edition of a launch, ready to run.

    `hash` covers the launch file's meaning, the template sources in `templates` (name below `templates/` → source) and
    the compiler's schema. Steps are in order of their instants. `remedy_templates` names the template of each remedy
    step. `moments` are the facts that are points in time. `retired` are steps that an applied change took out of a
    running edition: their numbers are never given again. `files` are the attachments by path in the project.
    """

    schema_version: int
    edition: str
    opens: datetime
    launch: Launch
    phases: tuple[PlannedPhase, ...]
    steps: tuple[PlannedStep, ...]
    remedy_templates: dict[str, str] = {}
    templates: dict[str, str]
    moments: dict[str, datetime] = {}
    files: dict[str, Attached] = {}
    retired: tuple[PlannedStep, ...] = ()
    hash: str

    def kinds(self) -> dict[str, tuple[StepKind, int | None]]:
        """Kind and number of every step by id, retired ones and the remedies of the gates included."""
        every = (*self.retired, *self.steps)
        kinds: dict[str, tuple[StepKind, int | None]] = {step.id: (step.kind, step.number) for step in every}
        for name, phase in self.launch.phases.items():
            for remedy in phase.gate.remedy if phase.gate else ():
                kinds[remedy_step_id(name, remedy)] = (remedy.kind, None)
        return kinds

    def phase(self, name: str) -> PlannedPhase:
        """The phase of that name; KeyError when the launch has none such."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)

    def step(self, step_id: str) -> PlannedStep:
        """The step of that id; KeyError when there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)
