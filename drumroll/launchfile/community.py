"""Who sells what, to whom, through which channels: product, team, community."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, model_validator

from drumroll.launchfile.fields import Part, Slug, Stretch, Text, TimeZone, countable

CURRENCY = r"^[A-Z]{3}$"


class Product(Part):
    """What the launch leads up to. `price` and `currency` belong together."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"price": ["currency"], "currency": ["price"]}})

    name: Text = Field(description="The product as members know it.")
    promise: Text = Field(description="The outer pull: what the product does.")
    result: Text = Field(description="The inner pull: what the member's own life looks like afterwards.")
    price: Annotated[Decimal, Field(gt=0), AfterValidator(countable)] | None = Field(
        default=None, description="Price of one unit, a number in `currency`; none where nothing is sold."
    )
    currency: str | None = Field(default=None, pattern=CURRENCY, description="ISO 4217 code, like TWD, CNY or USD.")

    @model_validator(mode="after")
    def _price_in_a_currency(self) -> "Product":
        if (self.price is None) != (self.currency is None):
            raise ValueError("price and currency belong together; give both, or neither where nothing is sold")
        return self


class Staff(Part):
    """A person or bot of the team: outside every metric, gate, ranking and draw (嚴禁群托)."""

    name: Text = Field(description="What the team calls them; `hand_off` channels and overrides name them by it.")
    role: Literal["host", "operator", "support", "engineer", "bot"] = Field(description="What they do.")
    ids: tuple[str, ...] = Field(
        default=(), description="Member ids on the platforms, as exports and webhooks give them."
    )


class Team(Part):
    """The people behind the launch."""

    name: Text = Field(description="How the team calls itself in front of members.")
    staff: tuple[Staff, ...] = Field(
        min_length=1, description="Everyone of the team in the groups: they are no members in any number."
    )
    hand_offs_per_hour: int = Field(
        default=20, gt=0, strict=True, description="How many messages one person can post by hand in an hour."
    )


class ChannelSpec(Part):
    """A way into a group. `kind` decides which other keys there are."""

    model_config = ConfigDict(extra="allow", frozen=True, title="Channel")

    kind: str = Field(description="What kind of channel it is.")

    @property
    def options(self) -> dict[str, Any]:
        """The keys beside `kind`, as written."""
        return dict(self.model_extra or {})


class SourceSpec(Part):
    """Where engagement comes from; read again before every gate and by `watch`."""

    model_config = ConfigDict(title="Source")

    kind: str = Field(description="What kind of export it is.")
    path: str = Field(description="File or folder, relative to the project directory.")
    group: Slug | None = Field(
        default=None, description="The group that it belongs to, apart from the channels that `map` names."
    )
    map: dict[str, Slug] | None = Field(
        default=None,
        description="Which group each channel of the export belongs to. Without `group`, others are left out.",
    )
    timezone: TimeZone | None = Field(default=None, description="Zone of times that carry none. Without this: UTC.")


class Group(Part):
    """One chat group."""

    id: Slug = Field(description="Names the group in this file and in the ledger.")
    name: Text = Field(description="The group as its members know it.")
    channel: str = Field(description="The one of `community.channels` that leads into it.")
    address: str | None = Field(
        default=None, description="The group's address on its channel, where the channel needs one."
    )
    cap: int = Field(default=200, gt=0, strict=True, description="Most members the platform or the team allows.")
    kind: Literal["conversion", "value"] = Field(default="conversion", description="Where it stands on the way.")


class StaffGroup(Part):
    """A chat group of the team's own, for `drumroll test-send`: no step goes there, and nobody in it is a member."""

    id: Slug = Field(description="Names the group to `drumroll test-send`.")
    name: Text = Field(description="The group as the team knows it.")
    channel: str = Field(description="The one of `community.channels` that leads into it.")
    address: str | None = Field(
        default=None, description="The group's address on its channel: not that of a group of members."
    )


class Segment(Part):
    """Members with something in common, worked out at the moment of sending; every condition given must hold."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    silent_for: Stretch | None = Field(
        default=None, description="In the group that long, and neither wrote nor reacted."
    )
    active_within: Stretch | None = Field(default=None, description="Wrote or reacted that recently.")
    joined_within: Stretch | None = Field(default=None, description="Joined that recently.")
    waitlisted: StrictBool | None = Field(default=None, description="true: on the waitlist; false: not on it.")
    ordered: StrictBool | None = Field(default=None, description="true: has ordered; false: has not.")

    @model_validator(mode="after")
    def _some_condition(self) -> "Segment":
        if all(condition is None for _, condition in self):
            raise ValueError("a segment needs at least one condition; write silent_for, active_within or another")
        return self


class Community(Part):
    """Groups, the channels into them, the segments in them and the sources of their engagement."""

    channels: dict[Slug, ChannelSpec] = Field(min_length=1, description="Ways into groups, each with a name of yours.")
    groups: tuple[Group, ...] = Field(min_length=1, description="The chat groups.")
    staff_groups: tuple[StaffGroup, ...] = Field(
        default=(),
        exclude_if=lambda groups: not groups,  # a launch without any keeps the hash it always had
        description="Groups of the team's own, for `drumroll test-send` and nothing else.",
    )
    segments: dict[Slug, Segment] = Field(
        default={}, description="Kinds of members that a step or a threshold can name, each with a name of yours."
    )
    sources: tuple[SourceSpec, ...] = Field(
        default=(), description="Where engagement comes from; read again before every gate and by `watch`."
    )
