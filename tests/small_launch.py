"""A small launch and an edition of it halfway through, written through the ledger's own calls: fixed data for tests.

Two groups: one that a channel posts to, one that Ann posts to by hand. Welcome went out to both; the clue was sent to
one and failed in doubt in the other; the gate of `recruit` was held and Ann let it pass; `ignite` is still to come.
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drumroll.activity import Event, Person
from drumroll.check import check_file
from drumroll.ledger.ledger import Ledger, default_url, open_ledger
from drumroll.ledger.model import Settlement
from drumroll.operate.edition import Where, begin
from drumroll.operate.gating import read_gate

EDITION = "spring@2027-03-06"
REPOSITORY = Path(__file__).parent.parent
STARTS = datetime(2027, 3, 3, 9, tzinfo=UTC)
NOW = datetime(2027, 3, 4, 12, 10, tzinfo=UTC)

LAUNCH = """\
drumroll: 1
name: spring
title: Spring <course> & friends
locale: en
timezone: UTC
opens: "2027-03-06 12:00"
product: {name: Spring, promise: a course, result: a new job, price: 100, currency: EUR}
team:
  name: the team
  staff: [{name: Ann, role: operator, ids: [ann]}, {name: Bridge, role: bot, ids: [bridge]}]
community:
  channels:
    log: {kind: file, path: out.jsonl}
    by_hand: {kind: hand_off, lead: 30m, to: Ann}
  groups:
    - {id: one, name: "Room [one] <b>", channel: log}
    - {id: two, name: Room two, channel: by_hand}
  segments:
    quiet: {silent_for: 1d}
waive: {link/trust-gate: a phase of trust would be one more in every test}
phases:
  recruit:
    goal: People come
    starts: "D-3 09:00"
    ends: "D-2 14:00"
    slack: 4h
    steps:
      - {id: hello, at: "D-3 10:00", kind: welcome, serial: true}
      - {id: clue, at: "D-2 12:00", topic: a clue}
    gate:
      thresholds:
        - {metric: members, at_least: 4, abort_if: 1}
        - {metric: active_rate, at_least: 90%, per_group: true}
  ignite:
    goal: People buy
    starts: "D-1 09:00"
    ends: "D+1 12:00"
    steps:
      - {id: quiet-hello, at: "D-1 10:00", kind: prompt, segment: quiet, to: [two]}
      - {id: doors, at: "D 12:00", kind: link, topic: the doors}
"""

TEMPLATES = {
    "recruit/hello": "{{ step.label }} Hello <script>alert(1)</script> [bold]all[/bold]\nSecond line",
    "recruit/clue": "{{ step.label }} A clue",
    "ignite/quiet-hello": "Still there?",
    "ignite/doors": "{{ step.label }} The doors are open",
}
TEASER = "{% if teaser %}\n\nNext: {{ teaser.when }}, {{ teaser.topic }}{% endif %}\n"


def project(root: Path) -> Path:
    """A project directory with the launch, its words and the repository's own page templates; the launch file."""
    for name, text in TEMPLATES.items():
        path = root / "templates" / "en" / f"{name}.md.j2"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + TEASER)
    shutil.copytree(REPOSITORY / "templates" / "pages", root / "templates" / "pages")
    file = root / "configs" / "spring.yaml"
    file.parent.mkdir()
    file.write_text(LAUNCH)
    return file


def begun(root: Path, *, rehearsal: bool = False) -> Where:
    """The edition as it begins, nothing sent yet."""
    plan = check_file(project(root)).accepted()
    where = Where(plan.edition, default_url(root), str(root))
    assert begin(plan, ledger=where.open(), rehearsal=rehearsal, now=STARTS)
    return where


def halfway(root: Path, *, rehearsal: bool = False) -> Where:
    """The edition as the module's docstring tells it, at NOW."""
    where = begun(root, rehearsal=rehearsal)
    ledger = where.open()
    ledger.take_in(
        EDITION, [Person("ann", "Ann"), Person("bridge", is_bot=True), Person("m0", "Mallory <i>")], events()
    )
    send(where, "hello", STARTS + timedelta(hours=1))
    ledger.done(f"{EDITION}/hello/1/two", by="Ann", now=STARTS + timedelta(hours=1, minutes=4))
    clue_at = datetime(2027, 3, 4, 12, tzinfo=UTC)
    send(where, "clue", clue_at, in_doubt=True)
    return where


def held(root: Path) -> Where:
    """Halfway, and the gate of `recruit` was read at its time and held."""
    where = halfway(root)
    read_gate(where, "recruit", now=datetime(2027, 3, 4, 14, tzinfo=UTC))
    where.open().set_edition_state(EDITION, "held", now=datetime(2027, 3, 4, 14, tzinfo=UTC))
    return where


def send(where: Where, step: str, at: datetime, *, in_doubt: bool = False) -> None:
    """Claim and settle `step`: the file channel 40 ms after `at` (or in doubt), the text handed over half an hour before."""
    ledger, plan = where.open(), where.plan()
    sha = ledger.keep_wording(EDITION, step, 1, where.words().text(plan.step(step), now=at), now=at)
    for claim in _claims(ledger, step, at):
        if claim.channel == "by_hand":
            result = Settlement(claim, "awaiting", wording=sha, sent_at=at - timedelta(minutes=30))
        elif in_doubt:
            result = Settlement(claim, "unknown", wording=sha, error="the answer [never] came")
        else:
            result = Settlement(
                claim, "sent", wording=sha, message_id=f"id-{step}", sent_at=at + timedelta(milliseconds=40)
            )
        ledger.settle([result], now=at + timedelta(seconds=1))


def _claims(ledger: Ledger, step: str, at: datetime):
    return ledger.claim(EDITION, step, 1, now=at, limit=10, lease=timedelta(seconds=30))


def events() -> list[Event]:
    """Eight members, four in each group: six write, two enter the waitlist, one orders; Ann writes as well."""
    found = []
    for number in range(8):
        group, member, at = ("one", "two")[number % 2], f"m{number}", STARTS + timedelta(minutes=number)
        found.append(Event("t", f"j{number}", "join", at, group, member))
        if number < 6:
            found.append(
                Event("t", f"s{number}", "message", STARTS + timedelta(hours=2, minutes=number), group, member)
            )
    found += [Event("t", f"w{n}", "waitlist", STARTS + timedelta(hours=3), ("one", "two")[n], f"m{n}") for n in (0, 1)]
    found.append(Event("t", "o0", "order", STARTS + timedelta(hours=4), "one", "m0"))
    return [*found, Event("t", "a0", "message", STARTS + timedelta(hours=2), "one", "ann")]


def ledger_of(root: Path) -> Ledger:
    """The ledger of a project that has begun."""
    return open_ledger(default_url(root))
