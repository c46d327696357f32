"""Which currencies there are: the codes of ISO 4217, as Babel's CLDR data lists them."""

from drumroll.launchfile.load import did_you_mean

FORM = "use the three capital letters of ISO 4217, like TWD"


def currency_remedy(code: str) -> str | None:
    """What to write in place of a code that no money has or had; None when one does.

    ISO 4217 gives the codes in X to what belongs to no country: money of several lands (XOF, still in use there), but
    also metals, units of account, tests (XTS) and nothing at all (XXX).
    """
    from babel.numbers import is_currency  # noqa: PLC0415 - babel takes its time

    in_use = _in_use()
    is_money = code in in_use if code.startswith("X") else is_currency(code)
    return None if is_money else did_you_mean(code, in_use, otherwise=FORM)


def _in_use() -> list[str]:
    from babel.core import get_global  # noqa: PLC0415
    from babel.numbers import get_territory_currencies  # noqa: PLC0415

    return sorted({code for land in get_global("territory_currencies") for code in get_territory_currencies(land)})
