"""Traditional Chinese into simplified (繁→簡), by OpenCC, with terms that stay as they are.

Done once, when a launch is compiled: the plan carries finished sources and words, its hash covers them, and sending
needs no OpenCC. `tw2s` changes characters only, Taiwan's own among them (`t2s` leaves 看著, over which mainland readers
stumble); the profiles with phrases (`tw2sp`) also rename things of the trade, 視頻號 and 社群 among them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, TypeVar

from drumroll.launchfile.models import Launch, Phase, RemedyStep, Step

_S = TypeVar("_S", Step, RemedyStep)

SIMPLIFIED = "zh-Hans"
TRADITIONAL = "zh-Hant"

_WORD = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CHINESE = re.compile(f"[\u2e80-\u33ff{_WORD}]+")
# In https://a.example/訂購 the last word is a part of the address, in https://a.example報名 it is not.
_ADDRESS = re.compile(rf"https?://(?:[!#-&(-;=?-~]|(?<=[/=_.#?&-])[{_WORD}]+)+", re.IGNORECASE)

_STRING = r"""(?:"(?:\\.|[^"\\])*+"|'(?:\\.|[^'\\])*+')"""
_CODE = re.compile(rf"(\{{\#.*?\#\}}|\{{[{{%](?>{_STRING}|.)*?[%}}]\}})", re.DOTALL)
_SAYS_NOTHING = re.compile(r"\{\#|\{%[-+]?\s*(?:include|import|from|extends)\b")
_LITERAL = re.compile(rf"((?<=[\w\])])\[\s*)?({_STRING})", re.DOTALL)


def simplified(text: str, protected: Sequence[str] = ()) -> str:
    """`text` in simplified characters; every occurrence of a protected term, and every address, stays as it is.

    Terms may overlap: a character that is in any of them stays. What is no Chinese character (line ends, markup, code)
    never changes, and what is simplified already stays so. OpenCC does not look across a protected term, so protect
    whole words.
    """
    kept = bytearray(len(text))
    for begin, end in _occurrences(text, protected):
        kept[begin:end] = b"\x01" * (end - begin)
    pieces = []
    for is_kept, places in groupby(range(len(text)), key=kept.__getitem__):
        run = list(places)
        piece = text[run[0] : run[-1] + 1]
        pieces.append(piece if is_kept else _CHINESE.sub(lambda chinese: _settled(chinese[0]), piece))
    return "".join(pieces)


def simplified_source(source: str, protected: Sequence[str] = ()) -> str:
    """A template's source with what it says in simplified characters.

    Comments, names and the files that it includes stay; of code, the quoted words change, except a name in brackets
    (`facts["價格"]`). Lines keep their numbers.
    """

    def convert(quoted: re.Match[str]) -> str:
        return quoted[0] if quoted[1] else simplified(quoted[2], protected)

    pieces = _CODE.split(source)
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            pieces[index] = simplified(piece, protected)
        elif not _SAYS_NOTHING.match(piece):
            pieces[index] = _LITERAL.sub(convert, piece)
    return "".join(pieces)


def in_its_characters(launch: Launch) -> Launch:
    """The launch with its words in the characters of its locale: converted for zh-Hans, else as it is.

    Words are what members may read. Ids, addresses, paths, options of channels, names of staff and of groups, the fit
    check's answers and the reasons of waivers stay as written.
    """
    if launch.locale != SIMPLIFIED:
        return launch

    def say(text: str) -> str:
        return simplified(text, launch.protected_terms)

    product, team, persona = launch.product, launch.team, launch.persona
    named = {name: say(getattr(product, name)) for name in ("name", "promise", "result")}
    update: dict[str, Any] = {
        "title": say(launch.title),
        "product": product.model_copy(update=named),
        "team": team.model_copy(update={"name": say(team.name)}),
        "facts": _values(launch.facts, say),
        "promises": _values(launch.promises, say),
        "phases": {name: _phase(phase, say) for name, phase in launch.phases.items()},
    }
    if persona is not None:
        words = {name: tuple(map(say, getattr(persona, name))) for name in ("outer", "inner")}
        update["persona"] = persona.model_copy(update={"voice": say(persona.voice), **words})
    return launch.model_copy(update=update)


def _occurrences(text: str, protected: Sequence[str]) -> list[tuple[int, int]]:
    """Where addresses and protected terms stand, also those that begin inside another one."""
    found = [address.span() for address in _ADDRESS.finditer(text)]
    for term in filter(None, protected):
        at = text.find(term)
        while at >= 0:
            found.append((at, at + len(term)))
            at = text.find(term, at + 1)
    return found


@lru_cache(maxsize=1)
def _tw2s() -> Callable[[str], str]:
    from opencc import OpenCC  # noqa: PLC0415 - only launches in zh-Hans need it

    convert: Callable[[str], str] = OpenCC("tw2s").convert
    return convert


def _settled(text: str) -> str:
    """Converted until nothing changes: OpenCC's 薴 becomes 苧, and that 苎 when it is seen again."""
    convert = _tw2s()
    while (again := convert(text)) != text:
        text = again
    return text


def _values(values: Mapping[str, Any], say: Callable[[str], str]) -> dict[str, Any]:
    """Texts converted; numbers, switches and points in time as they are."""
    return {name: say(value) if isinstance(value, str) else value for name, value in values.items()}


def _phase(phase: Phase, say: Callable[[str], str]) -> Phase:
    steps = tuple(_step(step, say) for step in phase.steps)
    gate = phase.gate
    if gate is not None:
        gate = gate.model_copy(update={"remedy": tuple(_step(remedy, say) for remedy in gate.remedy)})
    return phase.model_copy(update={"goal": say(phase.goal), "steps": steps, "gate": gate})


def _step(step: _S, say: Callable[[str], str]) -> _S:
    told = {name: getattr(step, name, None) for name in ("topic", "mystery")}
    words = {name: say(text) for name, text in told.items() if text is not None}
    return step.model_copy(update={**words, "vars": _values(step.vars, say)})
