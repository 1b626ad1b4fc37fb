"""The tick that a moment belongs to, and crash points that do nothing unless asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sync import crash
from sync.clock import scheduled_at


def test_two_clocks_in_one_interval_have_the_same_tick() -> None:
    """Workers that tick a second apart name the same moment; after a long sleep there is one tick, not hundreds."""
    every = timedelta(seconds=60)
    first = scheduled_at(datetime(2026, 3, 2, 9, 0, 3, tzinfo=UTC), every)
    assert first == scheduled_at(datetime(2026, 3, 2, 9, 0, 59, 999999, tzinfo=UTC), every) == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert scheduled_at(datetime(2026, 3, 2, 15, 0, 0, tzinfo=UTC), every) == datetime(2026, 3, 2, 15, tzinfo=UTC)


def test_crash_points_are_inert(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable, and at another point than the named one, nothing happens."""
    monkeypatch.delenv(crash.VARIABLE, raising=False)
    for name in crash.POINTS:
        crash.point(name)
    monkeypatch.setenv(crash.VARIABLE, "after_send:3")
    crash.point("after_send")
    crash.point("before_send")
