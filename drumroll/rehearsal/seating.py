"""Who sits in which group of a synthetic community, up to each group's cap."""

from collections.abc import Iterable, Sequence

from drumroll.launchfile.community import Group
from drumroll.rehearsal.member import Member


class Seating:
    """The groups and who is in them. Staff take seats like everybody: a platform's cap counts them, too."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._caps = {group.id: group.cap for group in groups}
        self._seated: dict[str, dict[str, Member]] = {group: {} for group in self._caps}
        before_payment = tuple(group.id for group in groups if group.kind == "conversion")
        self.open_to_all = before_payment or tuple(self._caps)
        self.buyers_only = tuple(group for group in self._caps if group not in self.open_to_all)

    def members(self, group: str) -> list[Member]:
        """Who sits in `group`, in the order they came; nobody in a group that the launch does not have."""
        return list(self._seated.get(group, {}).values())

    def seat(self, member: Member, groups: Iterable[str]) -> str | None:
        """Seat a member in the emptiest of `groups`, relative to its cap; None when all are full."""
        free = [group for group in groups if len(self._seated[group]) < self._caps[group]]
        if not free:
            return None
        group = min(free, key=lambda each: len(self._seated[each]) / self._caps[each])
        self._seated[group][member.id] = member
        member.groups.add(group)
        return group

    def leave(self, member: Member, group: str) -> None:
        """Free the member's seat in `group`."""
        del self._seated[group][member.id]
        member.groups.discard(group)
