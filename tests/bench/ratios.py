"""How the benchmarks measure: arms run in turn, round after round, and only their ratio within a round counts.

Absolute rates of a shared machine swing by a factor of several; a pair taken in the same round swings together.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Ratio:
    """One line of the result. `values`: ours over theirs, one per round; `goal`: at least (or at most, when `at_most`) this.

    `rate` is our own absolute figure of the median round, in `unit`, for orientation only.
    """

    case: str
    ours: str
    theirs: str
    values: tuple[float, ...]
    goal: float | None = None
    at_most: bool = False
    rate: float | None = None
    unit: str = "rows/s"

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the goal; None where there is none."""
        if self.goal is None:
            return None
        return self.median <= self.goal if self.at_most else self.median >= self.goal


@dataclass(slots=True)
class Bench:
    """What a case gets: a fresh migrated database's address on demand, a folder, and how many rounds to run."""

    new_database: Callable[[], str]
    folder: Path
    rounds: int = 5
    rows: int = 30_000
    notes: list[str] = field(default_factory=list)

    def engine(self, url: str) -> sa.Engine:
        """An engine over `url` as the application makes it."""
        from db.engine import create

        return create(url, application="tidegate-bench")


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of `work`, with the garbage of earlier arms collected first."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rounds(count: int, arms: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Every arm once per round, in an order that turns by one each round; each returns its own seconds."""
    names = list(arms)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(count):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(arms[name]())
    return found


def faster(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """How many times faster we were, round by round."""
    return tuple(other / own for own, other in zip(ours, theirs, strict=True))
