"""`drumroll db backup`, `restore` and `confirm`: copies of the ledger, and what they may send."""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drumroll.cli.options import iso, json_option, ledger_option, ledger_url, print_json
from drumroll.cli.tables import say
from drumroll.errors import DrumrollError, LedgerBusyError, LedgerError, UsageError

if TYPE_CHECKING:
    from drumroll.ledger.copies import Contents
    from drumroll.ledger.store import Store

_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@_FILE
@ledger_option
@json_option
def backup(file: Path, ledger: str | None, as_json: bool) -> None:
    """Copy the ledger into FILE, which must be new, while launches run.

    SQLite gives a SQLite file, PostgreSQL what `pg_dump` makes of the ledger's tables. Members' names are in it.

    JSON: `ledger` (its place, without secrets), `file, bytes, editions` (ids), `last_activity` (the newest thing that
    the copied ledger knows; null for an empty one).
    """
    from drumroll.ledger.copies import back_up, contents
    from drumroll.ledger.ledger import open_ledger

    store = open_ledger(ledger_url(ledger), create=False)
    holds = contents(store)  # looked at first: the copy has this, and perhaps a moment more
    back_up(store.store, file)
    size = file.stat().st_size
    if as_json:
        known = {"editions": [row.id for row in holds.editions], "last_activity": iso(holds.last_activity)}
        print_json({"ledger": store.store.where, "file": str(file), "bytes": size, **known})
    else:
        say(f"{store.store.where}: {len(holds.editions)} editions, {size:,} bytes in {file}")


@click.command()
@_FILE
@click.option("--force", is_flag=True, help="Also over a ledger that knows more than FILE, or that an engine uses.")
@ledger_option
@json_option
def restore(file: Path, force: bool, ledger: str | None, as_json: bool) -> None:
    """Put a backup in the ledger's place; the old ledger is kept beside it (PostgreSQL: dumped beside FILE).

    Stop what runs launches on the ledger before. What FILE does not know has been sent since, perhaps: nothing is sent
    from the restored ledger before `drumroll db confirm`.

    JSON: `ledger, file, kept` (where the old one is; null when there was none), `editions` (ids), `last_activity` and
    `needs_confirming` (false when no live edition is in it).
    """
    from drumroll.clock import current_clock
    from drumroll.ledger import copies
    from drumroll.ledger.ledger import open_ledger
    from drumroll.ledger.store import Store, parse_url

    url, now = ledger_url(ledger), current_clock().now()
    with closing(Store(parse_url(url))) as store:
        coming = copies.peek(file, store, now=now)
        if not force:
            _see_that_nothing_is_lost(store, coming, now)
        kept = copies.restore(file, store, now=now)
    restored = open_ledger(url)
    holds, needs_confirming = copies.contents(restored), restored.is_copy()
    if as_json:
        known = {"editions": [row.id for row in holds.editions], "last_activity": iso(holds.last_activity)}
        where = {"ledger": restored.store.where, "file": str(file), "kept": str(kept) if kept else None}
        print_json({**where, **known, "needs_confirming": needs_confirming})
        return
    say(f"{restored.store.where}: restored from {file}" + (f"; the old one is {kept}" if kept else ""))
    if holds.last_activity is not None:
        say(
            f"it knows {len(holds.editions)} editions, and what happened until {holds.last_activity:%Y-%m-%d %H:%M} UTC"
        )
    if needs_confirming:
        say("it sends nothing yet: see what was sent since, then run `drumroll db confirm --by NAME`")


@click.command()
@click.option("--by", metavar="NAME", required=True, help="Who confirms it; kept in the ledger.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the ledger.")
@click.option("--hold/--send", default=True, help="What fell due: a person decides (default), or the rules for late.")
@ledger_option
@json_option
def confirm(by: str, reason: str, hold: bool, ledger: str | None, as_json: bool) -> None:
    """Let a restored, copied or failed-over ledger send again, from where it is now.

    Such a ledger does not know what its original has sent since it was made. Everything that has fallen due since is
    held for a person: look, then `drumroll resolve`. With --send it is left to the rules for late messages, and may
    come a second time. See that nothing runs on the original any more: nothing keeps two ledgers apart.

    JSON: `ledger, changed` (false when it is no copy: nothing was done), `by, reason, late` (hold or send), `held`
    (deliveries), `editions` (ids of those under way) and `last_activity` (before).
    """
    from drumroll.cli.pause import counted, nudge_all
    from drumroll.clock import current_clock
    from drumroll.ledger.ledger import open_ledger
    from drumroll.operate.braking import confirm as confirm_ledger

    if not by.strip():
        raise UsageError("it goes on record", remedy="say who with --by NAME")
    url = ledger_url(ledger)
    store = open_ledger(url, create=False)
    knew = store.last_activity()
    done = confirm_ledger(store, by=by.strip(), reason=reason.strip(), hold=hold, now=current_clock().now())
    editions, held = (list(done.editions), done.held) if done is not None else ([], 0)
    nudge_all(editions, url)
    if as_json:
        said = {"by": by.strip(), "reason": reason.strip(), "late": "hold" if hold else "send", "held": held}
        print_json(
            {
                "ledger": store.store.where,
                "changed": done is not None,
                **said,
                "editions": editions,
                "last_activity": iso(knew),
            }
        )
        return
    if done is None:
        say(f"{store.store.where}: is no copy; nothing was changed")
        return
    say(f"{store.store.where}: confirmed; it knows what happened until {knew:%Y-%m-%d %H:%M} UTC")
    say(f"under way: {', '.join(editions) or 'none'}; {counted(held)} that fell due since held for a person")
    for edition in editions if held else ():
        say(f"  drumroll deliveries {edition} --state held")


def _see_that_nothing_is_lost(store: "Store", coming: "Contents | None", now: datetime) -> None:
    """DrumrollError when the ledger that is there knows what the backup does not, or is in use."""
    from drumroll.ledger import schema
    from drumroll.ledger.copies import contents
    from drumroll.ledger.ledger import Ledger

    try:
        if schema.revision(store) is None:
            return
        schema.ensure(store, create=False)
        there = Ledger(store)
        holds = contents(there)
        leases = [there.lease(row.id) for row in holds.editions]
    except LedgerBusyError:
        raise
    except LedgerError:
        if store.path is None:
            raise
        return  # damaged: it can lose nothing by being set aside
    force = "or say --force; the old ledger is kept"
    if runs := next((lease for lease in leases if lease is not None and lease.is_live(now)), None):
        raise DrumrollError(
            f"{runs.edition} is run by {runs.owner}", where=store.where, remedy=f"stop it first, {force}"
        )
    known = {row.id for row in coming.editions} if coming is not None else set()
    if missing := [row.id for row in holds.editions if row.id not in known]:
        what = f"holds editions that the backup {'does not' if coming is not None else 'may not'} hold: "
        raise DrumrollError(what + ", ".join(missing), where=store.where, remedy=f"back it up first, {force}")
    newest, backed_up = holds.last_activity, coming.last_activity if coming is not None else None
    if newest is not None and (backed_up is None or newest > backed_up):
        until = f"only until {backed_up:%Y-%m-%d %H:%M:%S} UTC" if backed_up is not None else "nothing"
        what = f"knows what happened until {newest:%Y-%m-%d %H:%M:%S} UTC, the backup {until}"
        raise DrumrollError(what, where=store.where, remedy=f"restore a newer one, {force}")
