"""Whether a text says a sentence: line breaks, capitals and a closing full stop aside."""

_CLOSING = " .。．!！;；,，…"


def plain(text: str) -> str:
    """Words as they are compared: one line, lower case."""
    return " ".join(text.split()).casefold()


def says(plain_text: str, sentence: str) -> bool:
    """Whether a text, made `plain` before, says `sentence`."""
    core = plain(sentence).rstrip(_CLOSING)
    return bool(core) and core in plain_text
