"""Seeded chance: named streams of random numbers, and the few distributions a rehearsal draws from."""

from datetime import timedelta
from math import exp, log
from random import Random


def stream(seed: int, *about: object) -> Random:
    """The stream of random numbers about one thing: the same for the same seed and names, whatever else was drawn."""
    return Random(":".join(map(str, (seed, *about))))  # noqa: S311 - decides what invented people do, keeps no secret


def chance(rate: float, strength: float = 1.0) -> float:
    """Probability 0…1 of at least one event of a Poisson process: 1 - exp(-rate·strength)."""
    return 1.0 - exp(-rate * strength)


def happens(rng: Random, rate: float, strength: float = 1.0) -> bool:
    """Whether it does, with probability `chance(rate, strength)`."""
    return rng.random() < chance(rate, strength)


def delay(rng: Random, median: timedelta, spread: float, *, least: timedelta = timedelta(seconds=15)) -> timedelta:
    """A log-normal span in whole seconds, at least `least`; `spread` is the standard deviation of its logarithm."""
    seconds = rng.lognormvariate(log(median.total_seconds()), spread)
    return max(least, timedelta(seconds=int(seconds)))


def temperament(rng: Random, spread: float, *, alike: float = 0.0, to: float = 1.0) -> float:
    """A log-normal strength with mean 1.

    `alike` (-1…1) is the correlation of its logarithm with that of `to`, another strength of the same spread.
    """
    bias = spread * spread / 2
    given = (log(to) + bias) / spread if spread else 0.0
    own = rng.normalvariate(0.0, 1.0)
    return exp(spread * (alike * given + (1 - alike * alike) ** 0.5 * own) - bias)


def how_many(rng: Random, mean: float) -> int:
    """A Poisson count with that mean, by counting exponential gaps (right for the small means of one member's day)."""
    count, left = 0, mean
    while (left := left - rng.expovariate(1.0)) > 0:
        count += 1
    return count
