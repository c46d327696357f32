"""The ledger's tables as SQLModel classes: the schema that the migrations must arrive at."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Index, MetaData, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from drumroll.ledger.states import STATES

# Not IN: SQLite would write the list's words into a tree of their own, for every row that is written.
_ONE_OF_STATES = " OR ".join(f"state = '{state}'" for state in STATES)
RARE = "state <> 'due' AND state <> 'sending' AND state <> 'sent'"
"""The few rows that someone may want to see; a query must repeat these words for the index to be used."""


def _only(condition: str) -> dict[str, Any]:
    """A partial index holds only the rows that still want something done, so it stays small when a million are sent."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Base(SQLModel):
    """Own metadata with named constraints: SQLite can only alter what has a name, and other SQLModels stay out."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Edition(Base, table=True):
    __tablename__ = "edition"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'held', 'done', 'aborted')", name="state"),
        Index("ix_edition_launch", "launch", "created_at"),
    )

    id: str = Field(primary_key=True)
    launch: str
    title: str
    opens_at: datetime
    state: str
    plan_version: int
    rehearsal: bool
    created_at: datetime
    ended_at: datetime | None = None


class EditionLease(Base, table=True):
    """The row stays when the lease is released, without `expires_at`: its token is never given twice."""

    __tablename__ = "edition_lease"

    edition: str = Field(primary_key=True, foreign_key="edition.id")
    owner: str
    token: int
    taken_at: datetime
    expires_at: datetime | None = None


class Brake(Base, table=True):
    """Each row holds something back: `scope` is an edition's id, or `*` for every edition of this ledger."""

    __tablename__ = "brake"

    scope: str = Field(primary_key=True)
    set_at: datetime
    by: str
    reason: str = Field(sa_type=Text)


class Home(Base, table=True):
    """One row: the place that this ledger has confirmed as its own. In another place it is a copy."""

    __tablename__ = "home"

    id: int = Field(primary_key=True)
    place: str
    noted_at: datetime


class PlanVersion(Base, table=True):
    __tablename__ = "plan_version"

    edition: str = Field(primary_key=True, foreign_key="edition.id")
    version: int = Field(primary_key=True)
    hash: str
    document: str = Field(sa_type=Text)
    created_at: datetime


class Delivery(Base, table=True):
    """`ix_…_due`, `_retry`, `_sending` answer `next_moment`, `channel` and `step_retry` `claim`, `rare` the lists.

    No index holds the state of every row. On PostgreSQL a new state is written into each index that holds the row, and
    a fan-out does that twice for every message.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("edition", "step", "occurrence", "recipient", name="uq_delivery_key"),
        CheckConstraint(_ONE_OF_STATES, name="state"),
        Index(
            "ix_delivery_channel",
            "edition",
            "step",
            "occurrence",
            "channel",
            "fire_at",
            "due_at",
            "id",
            **_only("state = 'due'"),
        ),
        Index("ix_delivery_rare", "edition", "state", "due_at", "id", **_only(RARE)),
        Index("ix_delivery_due", "edition", "phase", "fire_at", "due_at", "id", **_only("state = 'due'")),
        Index("ix_delivery_retry", "edition", "phase", "retry_at", "due_at", "id", **_only("state = 'retry'")),
        Index(
            "ix_delivery_step_retry",
            "edition",
            "step",
            "occurrence",
            "retry_at",
            "due_at",
            "id",
            "fire_at",
            "channel",
            **_only("state = 'retry'"),
        ),
        Index("ix_delivery_sending", "edition", "phase", "lease_until", "due_at", "id", **_only("state = 'sending'")),
    )

    id: int | None = Field(default=None, primary_key=True)
    edition: str = Field(foreign_key="edition.id")
    step: str
    occurrence: int
    recipient: str
    phase: str
    channel: str
    group_id: str
    member: str | None = None
    due_at: datetime
    fire_at: datetime
    state: str
    token: int
    lease_until: datetime | None = None
    attempts: int
    retry_at: datetime | None = None
    wording: str | None = None
    message_id: str | None = None
    error: str | None = Field(default=None, sa_type=Text)
    sent_at: datetime | None = None
    lateness_ms: int | None = None
    updated_at: datetime | None = None


class Wording(Base, table=True):
    __tablename__ = "wording"

    edition: str = Field(primary_key=True, foreign_key="edition.id")
    step: str = Field(primary_key=True)
    occurrence: int = Field(primary_key=True)
    sha: str = Field(primary_key=True, index=True)
    text: str = Field(sa_type=Text)
    fire_at: datetime | None = None
    rendered_at: datetime


class GateCheck(Base, table=True):
    __tablename__ = "gate_check"
    __table_args__ = (UniqueConstraint("edition", "phase", "attempt", name="uq_gate_check_attempt"),)

    id: int | None = Field(default=None, primary_key=True)
    edition: str = Field(foreign_key="edition.id")
    phase: str
    attempt: int
    checked_at: datetime
    verdict: str
    latched: bool
    next_check_at: datetime | None = None
    snapshot: str = Field(sa_type=Text)


class EventRecord(Base, table=True):
    __tablename__ = "event"
    __table_args__ = (
        Index("ix_event_at", "edition", "at"),
        Index("ix_event_group_at", "edition", "group_id", "at"),
    )

    edition: str = Field(primary_key=True, foreign_key="edition.id")
    source: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True)
    kind: str
    at: datetime
    group_id: str
    member: str
    reply_to: str | None = None


class Member(Base, table=True):
    __tablename__ = "member"

    edition: str = Field(primary_key=True, foreign_key="edition.id")
    id: str = Field(primary_key=True)
    name: str
    is_staff: bool
    is_bot: bool


class Decision(Base, table=True):
    __tablename__ = "decision"
    __table_args__ = (Index("ix_decision_subject", "edition", "subject", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    edition: str = Field(foreign_key="edition.id")
    subject: str
    choice: str
    by: str
    reason: str = Field(sa_type=Text)
    at: datetime


class Alarm(Base, table=True):
    """What the watch found wrong: told once, and again only when it comes back after it was `cleared_at`."""

    __tablename__ = "alarm"
    __table_args__ = (Index("ix_alarm_open", "edition", "kind", "subject", unique=True, **_only("cleared_at IS NULL")),)

    id: int | None = Field(default=None, primary_key=True)
    edition: str = Field(foreign_key="edition.id")
    kind: str
    subject: str
    what: str = Field(sa_type=Text)
    remedy: str = Field(sa_type=Text)
    raised_at: datetime
    told_at: datetime | None = None
    cleared_at: datetime | None = None


class Bucket(Base, table=True):
    """One credential of a platform, or one group on it: its row is the lock under which permits are given."""

    __tablename__ = "bucket"

    name: str = Field(primary_key=True)
    refused_until: datetime | None = None
    why: str = Field(default="", sa_type=Text)


class Permit(Base, table=True):
    """One message of a bucket: `at` is when the platform had it, and while it is on its way the latest it can be."""

    __tablename__ = "permit"
    __table_args__ = (Index("ix_permit_bucket_at", "bucket", "at"),)

    id: int | None = Field(default=None, primary_key=True)
    bucket: str
    edition: str
    at: datetime


class BucketWait(Base, table=True):
    """An edition that was refused a permit and comes back: others leave it its share."""

    __tablename__ = "bucket_wait"

    bucket: str = Field(primary_key=True)
    edition: str = Field(primary_key=True)
    until: datetime


edition = Base.metadata.tables["edition"]
edition_lease = Base.metadata.tables["edition_lease"]
plan_version = Base.metadata.tables["plan_version"]
delivery = Base.metadata.tables["delivery"]
wording = Base.metadata.tables["wording"]
gate_check = Base.metadata.tables["gate_check"]
event = Base.metadata.tables["event"]
member = Base.metadata.tables["member"]
brake = Base.metadata.tables["brake"]
home = Base.metadata.tables["home"]
alarm = Base.metadata.tables["alarm"]
decision = Base.metadata.tables["decision"]
bucket = Base.metadata.tables["bucket"]
permit = Base.metadata.tables["permit"]
bucket_wait = Base.metadata.tables["bucket_wait"]
