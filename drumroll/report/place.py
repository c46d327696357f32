"""Where a finished page goes."""

from pathlib import Path

from drumroll.errors import UsageError


def write_page(html: str, out: Path | None, *, default: Path, what: str) -> Path:
    """Write a page to `out`, or to `default`, whose folder is created; no other folder is. Returns its path.

    `what` names the page in errors. Raises UsageError when the folder of `out` is not there or the page cannot be
    written.
    """
    if out is not None and not out.parent.is_dir():
        raise UsageError("no such folder", where=str(out.parent), remedy="create it, or give another path with --out")
    path = out or default
    try:
        if out is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        reason = f"{what} cannot be written ({error.strerror})"
        raise UsageError(reason, where=str(path), remedy="give another path with --out") from error
    return path
