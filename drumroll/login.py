"""The name of whoever sits at this machine."""

import getpass

from drumroll.errors import UsageError


def login(*, remedy: str) -> str:
    """The login name. UsageError with `remedy` where there is none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise UsageError("your login name is not known", remedy=remedy) from error
