"""Business time: real by default, the rehearsal's when one is anchored, never backwards."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from db import clock as clocks
from db.clock import Anchor, DatabaseClock, FixedClock, SystemClock, anchor, forget
from db.engine import writing

WORLD = datetime(2030, 1, 1, tzinfo=UTC)
WALL = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def test_without_an_anchor_it_is_real_time(engine: sa.Engine) -> None:
    """No rehearsal: business time is now."""
    assert abs(DatabaseClock(engine).now() - SystemClock().now()) < timedelta(seconds=2)


@pytest.mark.postgres_versions
def test_an_anchor_makes_every_clock_run_faster_from_its_time(engine: sa.Engine) -> None:
    """Two clocks of one installation agree on the world's time, which runs at the anchor's rate."""
    with writing(engine) as conn:
        assert anchor(conn, WORLD, rate=1000, lease_seconds=60) == WORLD
    one, two = DatabaseClock(engine), DatabaseClock(engine)
    first = one.now()
    time.sleep(0.2)
    passed = one.now() - first
    assert timedelta(seconds=150) < passed < timedelta(seconds=3000)
    assert abs(two.now() - one.now()) < timedelta(seconds=500)
    assert first >= WORLD


def test_a_new_anchor_never_sets_time_back(engine: sa.Engine) -> None:
    """An anchor behind the world's time is moved up to it."""
    with writing(engine) as conn:
        anchor(conn, WORLD, rate=1, lease_seconds=60)
    with writing(engine) as conn:
        assert anchor(conn, WORLD - timedelta(days=1), rate=5, lease_seconds=60) >= WORLD


def test_time_stands_still_when_the_lease_runs_out() -> None:
    """Whoever anchors must go on doing so, or the world's time stops."""
    held = Anchor(WORLD, WALL, rate=100, until_at=WALL + timedelta(seconds=10))
    assert held.world(WALL - timedelta(hours=1)) == WORLD
    assert held.world(WALL + timedelta(seconds=5)) == WORLD + timedelta(seconds=500)
    assert held.world(WALL + timedelta(hours=1)) == WORLD + timedelta(seconds=1000)


def test_ending_the_rehearsal_brings_back_real_time(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the anchor, the next reading is real time again."""
    monkeypatch.setattr(clocks, "REFRESH_SECONDS", 0.0)
    clock = DatabaseClock(engine)
    with writing(engine) as conn:
        anchor(conn, WORLD, rate=1, lease_seconds=60)
    assert clock.now() >= WORLD
    with writing(engine) as conn:
        forget(conn)
    assert abs(clock.now() - SystemClock().now()) < timedelta(seconds=2)


def test_naive_times_are_refused() -> None:
    """A time without a zone is no moment."""
    with pytest.raises(ValueError, match="time zone"):
        FixedClock(datetime(2026, 1, 1))
