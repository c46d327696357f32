"""Which state a delivery may leave for which other, and by which act. Every write to the ledger obeys this table.

    act        from       to
    ---------  ---------  --------------------------------------
    claim      due        sending
    claim      retry      sending
    reclaim    sending    sending
    settle     sending    sent, awaiting, retry, sending, failed, unknown
    recover    sending    sent, unknown
    postpone   due        retry
    postpone   retry      retry
    set_aside  due        held, skipped, cancelled
    set_aside  retry      held, skipped, cancelled
    set_aside  held       cancelled
    resolve    held       due, skipped
    resolve    unknown    due, sent, skipped
    resolve    failed     due, skipped
    done       awaiting   sent
    platform   awaiting   sent, failed, skipped
    take_back  awaiting   due

`sent`, `unknown`, `failed`, `skipped` and `cancelled` are final: the program leaves them alone, and only a person's
`resolve` reopens the two that are open questions. `reclaim` and `recover` wait for the lease to end; a settlement to
`sending` sets that end: what may have arrived on a platform that honours keys stays in doubt until it is asked again.
`postpone` is for a platform's rate: nobody tried, so no attempt is counted.
`take_back` is part of a person's change of the plan: what was handed to somebody ahead of time, and whose instant is
still to come, is handed over again in other words.
`failed` may be sent again because a permanent error says that nothing arrived; `cancelled` and `skipped` may not.
"""

from functools import cache
from typing import Literal

from drumroll.errors import LedgerError
from drumroll.ledger.model import Choice, State

Act = Literal[
    "claim", "reclaim", "settle", "recover", "postpone", "set_aside", "resolve", "done", "platform", "take_back"
]

STATES: tuple[State, ...] = (
    "due",
    "held",
    "sending",
    "awaiting",
    "retry",
    "sent",
    "unknown",
    "failed",
    "skipped",
    "cancelled",
)
FINAL: frozenset[State] = frozenset({"sent", "unknown", "failed", "skipped", "cancelled"})

MOVES: dict[Act, dict[State, tuple[State, ...]]] = {
    "claim": {"due": ("sending",), "retry": ("sending",)},
    "reclaim": {"sending": ("sending",)},
    "settle": {"sending": ("sent", "awaiting", "retry", "sending", "failed", "unknown")},
    "recover": {"sending": ("sent", "unknown")},
    "postpone": {"due": ("retry",), "retry": ("retry",)},
    "set_aside": {
        "due": ("held", "skipped", "cancelled"),
        "retry": ("held", "skipped", "cancelled"),
        "held": ("cancelled",),
    },
    "resolve": {
        "held": ("due", "skipped"),
        "unknown": ("due", "sent", "skipped"),
        "failed": ("due", "skipped"),
    },
    "done": {"awaiting": ("sent",)},
    "platform": {"awaiting": ("sent", "failed", "skipped")},
    "take_back": {"awaiting": ("due",)},
}
CHOICES: dict[Choice, State] = {"sent": "sent", "resend": "due", "skip": "skipped"}


@cache
def may(act: Act, old: str, new: str) -> bool:
    """Whether `act` may take a delivery from `old` to `new`."""
    return any(state == old and new in targets for state, targets in MOVES[act].items())


def require(key: str, act: Act, old: str, new: str) -> None:
    """LedgerError naming key, both states and the act when the table does not have the move."""
    if may(act, old, new):
        return
    open_to = sorted({other for other, moves in MOVES.items() if any(state == old for state in moves)})
    remedy = f"from {old} it moves by {' or '.join(open_to)} only" if open_to else f"{old} is final"
    raise LedgerError(f"cannot go from {old} to {new} by {act}", where=key, remedy=remedy)


def sources(act: Act, new: State) -> tuple[State, ...]:
    """The states from which `act` leads to `new`; LedgerError when it never does."""
    found = tuple(state for state, targets in MOVES[act].items() if new in targets)
    if not found:
        reach = sorted({target for targets in MOVES[act].values() for target in targets})
        raise LedgerError(f"{act} never makes a delivery {new}", remedy=f"it makes it {' or '.join(reach)}")
    return found
