"""Which currencies there are: the codes of ISO 4217, as Babel's CLDR data lists them."""

from drumroll.launchfile.load import did_you_mean

FORM = "use the three capital letters of ISO 4217, like TWD"


def currency_remedy(code: str) -> str | None:
    """What to write in place of a code that no currency has or had; None when one does."""
    from babel.numbers import is_currency  # noqa: PLC0415 - babel takes its time

    return None if is_currency(code) else did_you_mean(code, _in_use(), otherwise=FORM)


def _in_use() -> list[str]:
    from babel.core import get_global  # noqa: PLC0415
    from babel.numbers import get_territory_currencies  # noqa: PLC0415

    return sorted({code for land in get_global("territory_currencies") for code in get_territory_currencies(land)})
