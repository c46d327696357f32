"""Who sells what, to whom, through which channels: product, team, community."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import ConfigDict, Field, StrictBool, model_validator

from drumroll.launchfile.fields import Part, Slug, Stretch, Text, TimeZone

CURRENCY = r"^[A-Z]{3}$"


class Product(Part):
    """What the launch leads up to."""

    name: Text = Field(description="The product as members know it.")
    promise: Text = Field(description="The outer pull: what the product does.")
    result: Text = Field(description="The inner pull: what the member's own life looks like afterwards.")
    price: Decimal | None = Field(
        default=None, gt=0, description="Price of one unit in the currency below; none where nothing is sold."
    )
    currency: str | None = Field(default=None, pattern=CURRENCY, description="ISO 4217 code, e.g. TWD, CNY, USD.")

    @model_validator(mode="after")
    def _price_in_a_currency(self) -> "Product":
        if (self.price is None) != (self.currency is None):
            raise ValueError("price and currency belong together; give both, or neither where nothing is sold")
        return self


class Staff(Part):
    """A person or bot of the team: outside every metric, gate, ranking and draw (嚴禁群托)."""

    name: Text
    role: Literal["host", "operator", "support", "engineer", "bot"]
    ids: tuple[str, ...] = Field(
        default=(), description="Member ids on the platforms, as exports and webhooks give them."
    )


class Team(Part):
    """The people behind the launch."""

    name: Text = Field(description="How the team calls itself in front of members.")
    staff: tuple[Staff, ...] = Field(min_length=1)
    hand_offs_per_hour: int = Field(
        default=20, gt=0, strict=True, description="How many messages one person can post by hand in an hour."
    )


class ChannelSpec(Part):
    """A way into a group. `kind` decides which other keys there are; each kind documents its own."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str

    @property
    def options(self) -> dict[str, Any]:
        """The keys beside `kind`, as written."""
        return dict(self.model_extra or {})


class SourceSpec(Part):
    """Where engagement comes from; read again before every gate and by `watch`."""

    kind: str
    path: str = Field(description="File or folder, relative to the project directory.")
    group: Slug | None = Field(default=None, description="The group that all of it belongs to.")
    map: dict[str, Slug] | None = Field(default=None, description="Channel of the export → group.")
    timezone: TimeZone | None = Field(default=None, description="Zone of times that carry none (default UTC).")


class Group(Part):
    """One chat group."""

    id: Slug
    name: Text
    channel: str
    address: str | None = Field(
        default=None, description="The group's address on its channel, where the channel needs one."
    )
    cap: int = Field(default=200, gt=0, strict=True, description="Most members the platform or the team allows.")
    kind: Literal["conversion", "value"] = Field(default="conversion", description="Before payment, or after it.")


class Segment(Part):
    """Members with something in common, worked out at the moment of sending; every condition given must hold."""

    silent_for: Stretch | None = Field(
        default=None, description="In the group that long, and neither wrote nor reacted."
    )
    active_within: Stretch | None = Field(default=None, description="Wrote or reacted that recently.")
    joined_within: Stretch | None = Field(default=None, description="Joined that recently.")
    waitlisted: StrictBool | None = None
    ordered: StrictBool | None = None

    @model_validator(mode="after")
    def _some_condition(self) -> "Segment":
        if all(condition is None for _, condition in self):
            raise ValueError("a segment needs at least one condition; write silent_for, active_within or another")
        return self


class Community(Part):
    """Groups, the channels into them, the segments in them and the sources of their engagement."""

    channels: dict[Slug, ChannelSpec] = Field(min_length=1)
    groups: tuple[Group, ...] = Field(min_length=1)
    segments: dict[Slug, Segment] = {}
    sources: tuple[SourceSpec, ...] = ()
