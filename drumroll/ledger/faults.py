"""Database errors in words a person can act on: the one place where SQLAlchemy's and the drivers' errors end."""

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from drumroll.errors import LedgerAwayError, LedgerBusyError, LedgerError

_LOCKED = ("is locked by another process", "close it or wait, then try again")
# What passes by itself, so that trying again is sensible.
_BUSY = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_PROTOCOL": _LOCKED,
    "53300": ("has too many connections", "wait, or raise the server's max_connections"),
    "53": ("has no resources left", "wait, or raise the server's limits"),
    "55P03": _LOCKED,
    "40": ("another process wrote the same rows", "try again"),
    "57P": ("the server is shutting down or starting", "wait, then try again"),
    "08": ("lost the connection to the server", "wait, then try again"),
    "25P03": ("the server ended a transaction that stood still", "try again"),
}
# A refused connection carries no code, only these words, in the language of the server (postmaster.c, proc.c).
_REFUSED = {
    "too many clients": "53300",
    "too many connections": "53300",
    "remaining connection slots": "53300",
    "the database system is": "57P03",  # starting up, shutting down, in recovery mode
}
# SQLite names its result codes (https://sqlite.org/rescode.html); the extended ones begin with the primary one.
_SQLITE = {
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
    "25006": ("is read-only", "give the URL of a server that takes writes"),
    "42501": ("this user may not do that", "grant it the rights on the ledger's tables"),
    "42P01": ("a table of the ledger is missing", "restore a backup"),
    "57014": ("the server cancelled a request that took too long", "raise its statement_timeout"),
}


def place(url: URL) -> str:
    """Where a ledger is, without user, password or options: a path, or `postgresql://host:port/database`."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = (url.host or str(url.query.get("host", ""))) + (f":{url.port}" if url.port else "")
    return f"postgresql://{host}/{url.database or ''}"


def explain(error: Exception, url: URL, *, reached: bool = False) -> LedgerError:
    """The LedgerError that says what `error` means; the URL's password never appears in it.

    A LedgerBusyError when it may pass by itself. A server that has once been `reached` is expected to come back; one
    that never answered more likely has another address.
    """
    where = place(url)
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    if isinstance(cause, UnicodeEncodeError):
        return LedgerError("a text holds a broken character", where=where, remedy="remove lone surrogates from it")
    if isinstance(error, PoolTimeoutError):
        return LedgerBusyError("every connection of this process is in use", where=where, remedy="try again")
    if isinstance(error, StatementError) and not isinstance(error, DBAPIError) and isinstance(cause, ValueError):
        return LedgerError("a time without a zone was refused", where=where, remedy="give UTC-aware datetimes")
    code = getattr(cause, "sqlite_errorname", "")
    state = getattr(cause, "sqlstate", None) or _guessed_state(error, cause)
    if code == "SQLITE_CONSTRAINT_FOREIGNKEY" or state == "23503":
        return LedgerError("the edition is not in the ledger", where=where, remedy="begin it first")
    for kind, words in ((LedgerError, _SQLITE if code else _POSTGRES), (LedgerBusyError, _BUSY)):
        for prefix, (what, remedy) in words.items():
            if (code or state).startswith(prefix):
                return kind(what, where=where, remedy=remedy)
    detail = _first_line(cause, url)
    if isinstance(error, OperationalError) and url.get_backend_name() == "postgresql":
        kind = LedgerBusyError if reached else LedgerAwayError
        return kind(
            f"cannot be reached ({detail})", where=where, remedy="check that the server runs and the URL is right"
        )
    what = "refused a row that breaks its rules" if isinstance(error, IntegrityError) else "could not do that"
    return LedgerError(f"{what} ({detail})", where=where, remedy="run `drumroll doctor`")


def _guessed_state(error: Exception, cause: BaseException) -> str:
    """The SQLSTATE that fits an error without one; empty when none does."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return "08006"
    if isinstance(error, OperationalError):
        return next((state for words, state in _REFUSED.items() if words in str(cause)), "")
    return ""


def _first_line(cause: BaseException, url: URL) -> str:
    """Later lines of PostgreSQL's messages quote rows, which are members' data."""
    line = (str(cause).strip().splitlines() or [type(cause).__name__])[0].strip()
    return line.replace(str(url.password), "***") if url.password else line
