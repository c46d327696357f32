"""Database errors in words a person can act on: the one place where SQLAlchemy's and the drivers' errors end."""

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError

from drumroll.errors import LedgerError

# SQLite names its result codes (https://sqlite.org/rescode.html); the extended ones begin with the primary one.
_SQLITE = {
    "SQLITE_BUSY": ("is locked by another process", "close it or wait, then try again"),
    "SQLITE_LOCKED": ("is locked by another process", "close it or wait, then try again"),
    "SQLITE_READONLY": ("is read-only", "make the file and its folder writable"),
    "SQLITE_CANTOPEN": ("cannot be opened", "check the path and that its folder is there and writable"),
    "SQLITE_NOTADB": ("is not a SQLite database", "give another path, or restore a backup"),
    "SQLITE_CORRUPT": ("is damaged", "restore a backup"),
    "SQLITE_FULL": ("the disk is full, nothing was written", "free some space, then try again"),
    "SQLITE_IOERR": ("the disk failed while reading or writing", "check the disk and the space left on it"),
    "SQLITE_PERM": ("may not be opened", "check the permissions of the file"),
}
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES = {
    "28": ("refused the login", "check user and password in the URL"),
    "3D000": ("there is no such database", "create it first, or correct the URL"),
    "53100": ("the disk is full, nothing was written", "free some space, then try again"),
    "53": ("has no resources left", "wait, or raise the server's limits"),
    "55P03": ("is locked by another process", "close it or wait, then try again"),
    "40": ("another process wrote the same rows", "try again"),
    "25006": ("is read-only", "give the URL of a server that takes writes"),
    "42501": ("this user may not do that", "grant it the rights on the ledger's tables"),
    "42P01": ("a table of the ledger is missing", "restore a backup"),
    "57": ("the server is shutting down or starting", "wait, then try again"),
}


def place(url: URL) -> str:
    """Where a ledger is, without user, password or options: a path, or `postgresql://host:port/database`."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = (url.host or str(url.query.get("host", ""))) + (f":{url.port}" if url.port else "")
    return f"postgresql://{host}/{url.database or ''}"


def explain(error: Exception, url: URL) -> LedgerError:
    """The LedgerError that says what `error` means; the URL's password never appears in it."""
    where = place(url)
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    if isinstance(cause, UnicodeEncodeError):
        return LedgerError("a text holds a broken character", where=where, remedy="remove lone surrogates from it")
    if isinstance(error, StatementError) and not isinstance(error, DBAPIError) and isinstance(cause, ValueError):
        return LedgerError("a time without a zone was refused", where=where, remedy="give UTC-aware datetimes")
    code = getattr(cause, "sqlite_errorname", "")
    state = getattr(cause, "sqlstate", None) or ""
    if code == "SQLITE_CONSTRAINT_FOREIGNKEY" or state == "23503":
        return LedgerError("the edition is not in the ledger", where=where, remedy="begin it first")
    for prefix, (what, remedy) in (_SQLITE if code else _POSTGRES).items():
        if (code or state).startswith(prefix):
            return LedgerError(what, where=where, remedy=remedy)
    detail = _first_line(cause, url)
    if isinstance(error, OperationalError) and url.get_backend_name() == "postgresql":
        return LedgerError(
            f"cannot be reached ({detail})", where=where, remedy="check that the server runs and the URL is right"
        )
    what = "refused a row that breaks its rules" if isinstance(error, IntegrityError) else "could not do that"
    return LedgerError(f"{what} ({detail})", where=where, remedy="run `drumroll doctor`")


def _first_line(cause: BaseException, url: URL) -> str:
    """Later lines of PostgreSQL's messages quote rows, which are members' data."""
    line = (str(cause).strip().splitlines() or [type(cause).__name__])[0].strip()
    return line.replace(str(url.password), "***") if url.password else line
