"""The launch file as pydantic models: what one launch is, before it is compiled into a plan."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StrictBool

from drumroll.launchfile.community import Community, Product, Team
from drumroll.launchfile.fields import (
    Duration,
    Number,
    Part,
    PlainNumber,
    Slug,
    Stretch,
    TemplateName,
    Text,
    TimeZone,
    Word,
)
from drumroll.launchfile.method import Fit, MomentValue, Persona, QuietHours

PhaseName = Literal["recruit", "build_up", "nurture", "ignite", "aftercare"]
PHASES: tuple[PhaseName, ...] = ("recruit", "build_up", "nurture", "ignite", "aftercare")

StepKind = Literal["welcome", "announcement", "heads_up", "countdown", "link", "value", "prompt", "thanks"]
SERIAL_KINDS = frozenset({"announcement", "link"})
OnLate = Literal["send", "rerender", "skip", "hold"]
Verdict = Literal["pass", "extend", "remedy", "hold", "abort"]
VarValue = str | int | float | bool | MomentValue
MomentText = Annotated[str, Field(description='A moment: "T-2h", "D-1 23:00" or "2026-12-11 23:00".', min_length=1)]


class Step(Part):
    """One message of a phase."""

    id: Slug
    at: MomentText
    kind: StepKind = "announcement"
    serial: StrictBool | None = Field(
        default=None, description="Numbered 【公告NN】; announcements and links are, unless told."
    )
    number: int | None = Field(
        default=None, gt=0, strict=True, description="The number it is expected to carry; check refuses another."
    )
    topic: Text | None = Field(default=None, description="What it is about; the announcement before teases it.")
    mystery: Text | None = Field(
        default=None, description="What the tease says instead of the topic: a declared mystery."
    )
    template: TemplateName | None = Field(
        default=None, description="Template name below templates/<locale>/ (default: <phase>/<id>)."
    )
    to: tuple[Slug, ...] | None = Field(default=None, min_length=1, description="Groups (default: all).")
    segment: str | None = Field(default=None, description="Only members of this segment, each addressed directly.")
    counts_to: MomentText | None = Field(default=None, description="What a countdown counts to (default: the opening).")
    reveals: tuple[str, ...] = Field(default=(), description="Facts that this step is the first to tell.")
    keeps: Word | None = Field(default=None, description="The welcome's promise that this step keeps.")
    vars: dict[Word, VarValue] = Field(
        default={}, description='Words, numbers and points in time (`{at: "D+1 20:00"}`) for the template.'
    )
    on_late: OnLate | None = Field(default=None, description="What to do when its instant has passed.")
    max_late: Duration | None = Field(default=None, description="Later than this it is held for a person.")

    @property
    def is_serial(self) -> bool:
        """Whether it carries a number."""
        return self.kind in SERIAL_KINDS if self.serial is None else self.serial


class RemedyStep(Part):
    """A message sent when a gate asks for help; unnumbered."""

    id: Slug
    after: Duration = Field(description="How long after the verdict.")
    kind: StepKind = "prompt"
    template: TemplateName | None = None
    to: tuple[Slug, ...] | None = Field(default=None, min_length=1)
    vars: dict[Word, VarValue] = Field(default={}, description="Words, numbers and points in time for the template.")
    topic: Text | None = None


class Threshold(Part):
    """One measured condition. Judged on the interval's bound, not on the point value."""

    metric: str
    at_least: Number | None = None
    at_most: Number | None = None
    window: Stretch | None = Field(default=None, description="Looks back this far (default: to the phase's start).")
    segment: str | None = Field(default=None, description="Only members of this segment.")
    per_group: StrictBool = Field(default=False, description="Every group must meet it by itself.")
    abort_if: Number | None = Field(default=None, description="Abort when even the hopeful bound is worse than this.")


class Gate(Part):
    """What must be true before the next phase, and what to do when it is not."""

    thresholds: tuple[Threshold, ...] = Field(min_length=1)
    confidence: PlainNumber = Field(default=0.95, gt=0.5, lt=1.0, description="Confidence level of the intervals.")
    otherwise: tuple[Literal["remedy", "extend", "hold", "abort"], ...] = Field(
        default=("hold",), min_length=1, description="Tried in this order when a threshold is missed."
    )
    remedy: tuple[RemedyStep, ...] = ()
    recheck: Duration | None = Field(default=None, description="Wait before the gate is read again (default 6h).")


class Phase(Part):
    """One operating phase: a goal, steps and the gate that ends it."""

    goal: Text
    starts: MomentText
    ends: MomentText
    slack: Duration = Field(default=timedelta(0), description="How far remedies and extensions may push the gate.")
    steps: tuple[Step, ...] = ()
    gate: Gate | None = None


class Launch(Part):
    """One whole launch."""

    drumroll: Literal[1] = Field(description="Version of this file format.")
    name: Slug
    title: Text
    locale: Text = Field(description="Language of the words: en or zh-Hant.")
    timezone: TimeZone
    opens: MomentText
    product: Product
    team: Team
    community: Community
    facts: dict[Word, str | MomentValue] = Field(
        default={}, description="What messages may tell; a fact that a step reveals is unknown before."
    )
    promises: dict[Word, Text] = Field(
        default={}, description="What the welcome promises; each value post names the one it keeps."
    )
    persona: Persona | None = None
    fit: Fit | None = None
    quiet_hours: QuietHours = QuietHours()
    protected_terms: tuple[Text, ...] = Field(
        default=(), description="Words that the conversion to simplified characters leaves as they are."
    )
    approval: Literal["required", "none"] = Field(
        default="none", description="required: a live run needs the approved hash of its plan."
    )
    waive: dict[str, Text] = Field(
        default={}, description="Rules that this launch breaks on purpose: rule id to the reason, kept on record."
    )
    phases: dict[PhaseName, Phase] = Field(min_length=1)

    def group_ids(self) -> tuple[str, ...]:
        """All groups, in the order of the file."""
        return tuple(group.id for group in self.community.groups)

    def staff_ids(self) -> frozenset[str]:
        """Every registered staff and bot id, on any platform."""
        return frozenset(i for person in self.team.staff for i in person.ids)
