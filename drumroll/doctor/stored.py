"""The ledger: whether it can be reached, is current and at home, and has room."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from drumroll.doctor.sign import Sign, ok, problem, warning
from drumroll.errors import LedgerError
from drumroll.ledger.brakes import ALL
from drumroll.ledger.crowd import crowded_minutes
from drumroll.ledger.ledger import Ledger
from drumroll.ledger.schema import HEAD, revision
from drumroll.ledger.store import Store, parse_url

_MOUNTS = Path("/proc/mounts")
_REMOTE = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"}
    | {"smb3", "smbfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"}
)
_LITTLE, _TOO_LITTLE = 1 << 30, 200 << 20  # bytes


def ledger_signs(url: str) -> Iterator[Sign]:
    """The ledger at `url`, which is left as it is."""
    try:
        with closing(Store(parse_url(url))) as store:
            yield _schema(store)
            path = store.path
    except LedgerError as error:
        yield problem("ledger", f"{error.where}: {error.message}".removeprefix(": "), error.remedy)
        return
    if path is not None:
        yield from _file(path)


def _schema(store: Store) -> Sign:
    found, kind = revision(store), "SQLite" if store.path else "PostgreSQL"
    name = f"{kind}, {store.where}"
    if found is None:
        return ok("ledger", f"{name}: none yet, the first launch makes it")
    if found > HEAD:
        what = f"{name}: written by a newer Drumroll (revision {found}, this one knows {HEAD})"
        return problem("ledger", what, "upgrade Drumroll here")
    if found < HEAD:
        what = f"{name}: at revision {found}, this Drumroll's is {HEAD}"
        return warning("ledger", what, "`drumroll db backup FILE`, then `drumroll db upgrade`")
    ledger = Ledger(store)
    if ledger.is_copy():
        what = f"{name}: a copy of a ledger that stood elsewhere; it sends nothing"
        return problem("ledger", what, "see what its original has sent since, then `drumroll db confirm`")
    if (brake := next((brake for brake in ledger.brakes() if brake.scope == ALL), None)) is not None:
        return warning(
            "ledger", f"{name}: all launches are paused by {brake.by} ({brake.reason})", "`drumroll resume --all`"
        )
    return ok("ledger", f"{name}, revision {found}")


def busiest(url: str, *, now: datetime) -> int:
    """The most launches of the ledger that speak at the same minute; on PostgreSQL, how many are under way."""
    try:
        with closing(Store(parse_url(url))) as store:
            if store.path is not None:
                return max((len(names) for names in crowded_minutes(store.path, now=now).values()), default=0)
            if revision(store) != HEAD:
                return 0
            return sum(row.state == "running" and not row.rehearsal for row in Ledger(store).editions())
    except LedgerError:
        return 0


def _file(path: Path) -> Iterator[Sign]:
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(path if path.exists() else folder, os.W_OK) or not os.access(folder, os.W_OK):
        yield problem(
            "ledger.writable", f"{path} cannot be written by this user", "see whose the file and its folder are"
        )
    if (kind := filesystem(folder)) in _REMOTE:
        what = f"{folder} is on a network file system ({kind}), where SQLite's locks and its log do not work"
        yield problem("ledger.disk", what, "move it to a local disk, or give a PostgreSQL ledger in DRUMROLL_LEDGER")
        return
    free = shutil.disk_usage(folder).free
    said, remedy = f"{free / (1 << 30):.1f} GiB free for the ledger", "make room"
    if free < _TOO_LITTLE:
        yield problem("ledger.disk", said, remedy)
    elif free < _LITTLE:
        yield warning("ledger.disk", said, remedy)
    else:
        yield ok("ledger.disk", said)


def filesystem(folder: Path, mounts: Path = _MOUNTS) -> str:
    """The kind of file system that `folder` is on, as the kernel calls it; "" where it does not say."""
    try:
        lines = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    there = folder.resolve()
    over = [(len(at), kind) for _, at, kind, *_ in lines if there.is_relative_to(at.replace("\\040", " "))]
    return max(reversed(over), default=(0, ""), key=lambda one: one[0])[1]  # the last of those mounted at one place
