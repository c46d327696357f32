"""What every report says about shills: whom the numbers leave out (嚴禁群托)."""

from dataclasses import dataclass

from drumroll.metrics.reading import Reading


@dataclass(frozen=True, slots=True)
class Integrity:
    """Registered ids of staff and of bots, and how many of their events were left out.

    An id registered as both counts as a bot.
    """

    staff_excluded: int
    bots_excluded: int
    events_excluded: int

    def sentence(self) -> str:
        """For a report, e.g. `Staff (3) and bots (1) are outside every number: 42 events left out.`"""
        return (
            f"Staff ({self.staff_excluded}) and bots ({self.bots_excluded}) are outside every number: "
            f"{self.events_excluded} events left out."
        )


def integrity(reading: Reading) -> Integrity:
    """Whom and how much a reading leaves out; counted even when they never wrote. Only share_of_voice reads them."""
    bots = {person.id for person in reading.people if person.is_bot}
    return Integrity(
        staff_excluded=len(reading.outside - bots),
        bots_excluded=len(bots),
        events_excluded=len(reading.known) - len(reading.counted),
    )
