"""The launch file as pydantic models: what one launch is, before it is compiled into a plan."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StrictBool, WithJsonSchema

from drumroll.capability import Format
from drumroll.launchfile.community import Community, Product, Team
from drumroll.launchfile.fields import (
    AS_LOCAL_TIME,
    AS_MOMENT,
    Duration,
    Number,
    Part,
    PlainNumber,
    ProjectPath,
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
MomentText = Annotated[str, Field(min_length=1), WithJsonSchema(AS_MOMENT)]
_TEMPLATE = (
    "A template below `templates/<locale>/`, without its `.md.j2`. Without this: `<launch>/<phase>/<id>`, else "
    "`<phase>/<id>`, else `<phase>/<kind>`, whichever is there."
)
_TO = "The groups that get it; without this, all."


class Step(Part):
    """One message of a phase."""

    id: Slug = Field(description="Names the step, once in the whole file; its template goes by it.")
    at: MomentText = Field(description="When it is sent; within its phase.")
    kind: StepKind = Field(default="announcement", description="What kind of message it is.")
    serial: StrictBool | None = Field(
        default=None, description="Whether it is numbered (【公告07】). Without this, announcements and links are."
    )
    number: int | None = Field(
        default=None,
        gt=0,
        strict=True,
        description="The number you expect it to carry: it counts by itself, and check refuses another.",
    )
    topic: Text | None = Field(default=None, description="What it is about; the announcement before teases it.")
    mystery: Text | None = Field(
        default=None, description="What the tease says instead of the topic: a declared mystery."
    )
    template: TemplateName | None = Field(default=None, description=_TEMPLATE)
    to: tuple[Slug, ...] | None = Field(
        default=None, min_length=1, description=_TO, json_schema_extra={"uniqueItems": True}
    )
    segment: str | None = Field(
        default=None, description="Only members of this segment of `community.segments`, each addressed directly."
    )
    counts_to: MomentText | None = Field(
        default=None, description="What it counts down to. Without this, a countdown counts to the opening."
    )
    reveals: tuple[str, ...] = Field(
        default=(), description="Names of `facts` that this step is the first to tell; no earlier text may use them."
    )
    keeps: Word | None = Field(default=None, description="The one of `promises` that this step keeps.")
    vars: dict[Word, VarValue] = Field(
        default={},
        description='Words, numbers and points in time (`{at: "D+1 20:00"}`), as `vars.<word>` in the template.',
    )
    format: Format = Field(
        default="text",
        exclude_if=lambda of: of == "text",  # these four: a launch without them keeps the hash it always had
        description="How the text is written. In `text` nothing is markup and nobody is mentioned.",
    )
    attach: tuple[ProjectPath, ...] = Field(
        default=(), exclude_if=lambda files: not files, description="Pictures and files that go with it."
    )
    pin: StrictBool = Field(default=False, exclude_if=lambda asked: not asked, description="Pin it, where the bot may.")
    mention_all: StrictBool = Field(
        default=False, exclude_if=lambda asked: not asked, description="Mention everyone (@all), where the bot may."
    )
    on_late: OnLate | None = Field(
        default=None,
        description="What to do when its instant has passed. Without this: skip for a countdown, else rerender.",
    )
    max_late: Duration | None = Field(
        default=None,
        description="When it is later than this, a person decides. Without this: 2h, for a link 24h.",
    )

    @property
    def is_serial(self) -> bool:
        """Whether it carries a number."""
        return self.kind in SERIAL_KINDS if self.serial is None else self.serial


class RemedyStep(Part):
    """A message sent when a gate asks for help; unnumbered."""

    id: Slug = Field(description="Names the remedy, once in the whole file; its template goes by it.")
    after: Duration = Field(description="How long after the verdict that asked for it.")
    kind: StepKind = Field(default="prompt", description="What kind of message it is.")
    template: TemplateName | None = Field(default=None, description=_TEMPLATE)
    to: tuple[Slug, ...] | None = Field(
        default=None, min_length=1, description=_TO, json_schema_extra={"uniqueItems": True}
    )
    vars: dict[Word, VarValue] = Field(
        default={}, description="Words, numbers and points in time, as `vars.<word>` in the template."
    )
    topic: Text | None = Field(default=None, description="What it is about, as `step.topic` in its template.")


class Threshold(Part):
    """One measured condition: exactly one of `at_least` and `at_most`, judged on the cautious end of the interval."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]})

    metric: str = Field(description="What is measured.")
    at_least: Number | None = Field(default=None, description="Met when even the low end of the interval is this high.")
    at_most: Number | None = Field(default=None, description="Met when even the high end of the interval is this low.")
    window: Stretch | None = Field(
        default=None, description="How far to look back. Without this, as far as the metric does by itself."
    )
    segment: str | None = Field(default=None, description="Only members of this segment of `community.segments`.")
    per_group: StrictBool = Field(default=False, description="Every group must meet it by itself.")
    abort_if: Number | None = Field(
        default=None, description="Abort the launch when even the hopeful end of the interval is worse than this."
    )


class Gate(Part):
    """What must be true before the next phase, and what to do when it is not."""

    thresholds: tuple[Threshold, ...] = Field(min_length=1, description="The conditions; all of them must be met.")
    confidence: PlainNumber = Field(
        default=0.95, gt=0.5, lt=1.0, description="Confidence level of the intervals, like 0.9."
    )
    otherwise: tuple[Literal["remedy", "extend", "hold", "abort"], ...] = Field(
        default=("hold",), min_length=1, description="Tried in this order when a threshold is missed."
    )
    remedy: tuple[RemedyStep, ...] = Field(default=(), description="The messages that `remedy` in `otherwise` sends.")
    recheck: Duration | None = Field(
        default=None, description="How long to wait before the gate is read again. Without this: 6h."
    )


class Phase(Part):
    """One operating phase: a goal, steps and the gate that ends it."""

    goal: Text = Field(description="What the phase is for, in one sentence of yours.")
    starts: MomentText = Field(description="From when on its steps may be sent.")
    ends: MomentText = Field(description="When its gate is read, or it ends where it has none.")
    slack: Duration = Field(
        default=timedelta(0),
        description="How far remedies and extensions may push the gate; the next phase starts after that.",
    )
    steps: tuple[Step, ...] = Field(default=(), description="Its messages.")
    gate: Gate | None = Field(
        default=None, description="What must be true before the next phase. The gate of `nurture` is the trust gate."
    )


class Launch(Part):
    """One whole launch: who, what, when, and what must be true before moving on."""

    drumroll: Literal[1] = Field(description="Version of this file format.")
    name: Slug = Field(description="The launch's own name; its templates and its entries in the ledger go by it.")
    title: Text = Field(description="What the team calls it, in reports and on the board.")
    locale: Text = Field(description="Language of the words.")
    timezone: TimeZone = Field(description="IANA zone of every local time in this file.")
    opens: MomentText = Field(
        description="The opening: T in moments is this instant, D this day.", json_schema_extra=AS_LOCAL_TIME
    )
    product: Product = Field(description="What the launch leads up to.")
    team: Team = Field(description="The people behind the launch.")
    community: Community = Field(description="Groups, the channels into them, segments, and where engagement is read.")
    facts: dict[Word, str | MomentValue] = Field(
        default={},
        description="What messages may tell, as `facts.<word>` in templates; unknown before the step that reveals it.",
    )
    promises: dict[Word, Text] = Field(
        default={}, description="What the welcome promises; each value post names the one it keeps."
    )
    persona: Persona | None = Field(default=None, description="Who speaks, and which of the two pulls leads when.")
    fit: Fit | None = Field(default=None, description="Why this product suits a community launch.")
    quiet_hours: QuietHours = Field(default=QuietHours(), description="When nobody is disturbed.")
    protected_terms: tuple[Text, ...] = Field(
        default=(), description="Words that the conversion to simplified characters leaves as they are."
    )
    approval: Literal["required", "none"] = Field(
        default="none", description="Whether a live run needs somebody's approval of its plan."
    )
    waive: dict[str, Text] = Field(
        default={},
        description="Rules of suspense that this launch breaks on purpose, each with the reason for the record.",
    )
    phases: dict[PhaseName, Phase] = Field(
        min_length=1,
        description="The operating phases, in the order in which they are listed here; not all are needed.",
    )

    def group_ids(self) -> tuple[str, ...]:
        """All groups, in the order of the file."""
        return tuple(group.id for group in self.community.groups)

    def staff_ids(self) -> frozenset[str]:
        """Every registered staff and bot id, on any platform."""
        return frozenset(i for person in self.team.staff for i in person.ids)
