"""From the ledger to what metrics read: events, people, and the posts that really reached a group."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from drumroll.activity import Person
from drumroll.launchfile.models import StepKind
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.model import DeliveryRow
from drumroll.metrics.posts import Post
from drumroll.metrics.reading import Reading
from drumroll.plan.model import Plan
from drumroll.sources.registry import source_for
from drumroll.sources.summary import relabel


def reading_of(ledger: Ledger, plan: Plan, *, now: datetime) -> Reading:
    """Everything the ledger knows of an edition's members at `now`; registered staff are marked as such."""
    events, people = ledger.activity(plan.edition, until=now)
    known = people | _registered(plan)
    rows = ledger.deliveries(plan.edition, state="sent")
    kinds = plan.kinds()
    posts = [post_of(row, kinds, at=row.sent_at or row.due_at) for row in rows if row.member is None]
    return Reading(events=events, people=list(known.values()), posts=posts, groups=plan.launch.group_ids(), now=now)


def post_of(row: DeliveryRow, kinds: Mapping[str, tuple[StepKind, int | None]], *, at: datetime) -> Post:
    """A delivery that reached its group at `at`, as metrics see it; `kinds` is `Plan.kinds()`."""
    kind, number = kinds[row.step]
    return Post(step=row.step, kind=kind, group=row.group, at=at, number=number, id=row.message_id)


def _registered(plan: Plan) -> dict[str, Person]:
    """The launch file's staff and bots: outside every number, whether or not an export ever names them."""
    return {
        i: Person(i, person.name, is_staff=person.role != "bot", is_bot=person.role == "bot")
        for person in plan.launch.team.staff
        for i in person.ids
    }


def sync_sources(ledger: Ledger, plan: Plan, project: Path) -> int:
    """Read the launch's own sources again; returns how many events were new. Raises SourceError."""
    new = 0
    for source in plan.launch.community.sources:
        export = source_for(source.kind).read(project / source.path, zone=ZoneInfo(source.timezone or "UTC"))
        ours = relabel(export, group=source.group, mapping=source.map, silent_ok=True)
        new += ledger.take_in(plan.edition, ours.people, ours.events)
    return new
