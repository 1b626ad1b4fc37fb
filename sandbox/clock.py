"""The world's clock: an anchor and a rate over the machine's steady clock, or frozen and moved by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta


class WorldClock:
    """World time, UTC. `rate` is world seconds per second; 0 is frozen."""

    def __init__(self, world_at: datetime, rate: float, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._world_at, self._at, self.rate = world_at, steady(), rate

    def now(self) -> datetime:
        """World time now."""
        return self._world_at + timedelta(seconds=(self._steady() - self._at) * self.rate)

    @property
    def frozen(self) -> bool:
        """Whether time moves only by hand."""
        return self.rate == 0

    def set_rate(self, rate: float) -> None:
        """Goes on from now at another rate."""
        self._world_at, self._at, self.rate = self.now(), self._steady(), rate

    def advance(self, by: timedelta) -> datetime:
        """Moves world time forward by hand; ValueError when it would go back."""
        if by < timedelta(0):
            raise ValueError("world time never goes back")
        self._world_at, self._at = self.now() + by, self._steady()
        return self._world_at


def rate_of(day_seconds: float | None) -> float:
    """World seconds per second when one world day takes `day_seconds`; None is frozen."""
    return 0.0 if day_seconds is None else 86_400 / day_seconds
