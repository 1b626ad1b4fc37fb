"""Business time: what a person reads as "now". Leases, retries and deadlines use the wall clock instead.

Normally business time is the real time. Under a rehearsal the table `process.clock` holds an anchor from which
world time runs faster, so that the stamps of the sandbox's systems and ours agree.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import sqlalchemy as sa

from db.engine import Reading, Writing, reading

REFRESH_SECONDS = 5.0
_ROW = 1


class Clock(Protocol):
    """Tells business time."""

    def now(self) -> datetime:
        """The moment it is in the business, aware, in UTC."""
        ...


class SystemClock:
    """Business time is the machine's real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FixedClock:
    """Stands still until told otherwise; for tests and for answering as of a moment."""

    def __init__(self, moment: datetime) -> None:
        """`moment` must be aware; raises ValueError otherwise."""
        self._moment = _utc(moment)

    def now(self) -> datetime:
        return self._moment

    def advance(self, by: timedelta) -> datetime:
        """Move on by `by` and return the new time."""
        self._moment += by
        return self._moment

    def set(self, moment: datetime) -> None:
        """Jump to `moment` (aware)."""
        self._moment = _utc(moment)


@dataclass(frozen=True)
class Anchor:
    """World time is `world_at` at wall time `wall_at` and runs `rate` times as fast until wall time `until_at`.

    After `until_at` world time stands still: whoever kept the anchor alive has gone.
    """

    world_at: datetime
    wall_at: datetime
    rate: float
    until_at: datetime

    def world(self, wall: datetime) -> datetime:
        """World time at wall time `wall`, which is the database's clock."""
        passed = max(timedelta(0), min(wall, self.until_at) - self.wall_at)
        return self.world_at + passed * self.rate


class DatabaseClock:
    """The clock that every process of one installation shares; reads the anchor at most every five seconds.

    Safe to use from several threads. Time never runs backwards within one instance. While the database can't
    be reached, the last anchor read goes on being used; the first read raises as any query does.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._anchor: Anchor | None = None
        self._wall = datetime.min.replace(tzinfo=UTC)
        self._read_at: float | None = None
        self._latest = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        with self._lock:
            self._refresh()
            if self._anchor is None:
                found = datetime.now(UTC)
            else:
                since = timedelta(seconds=time.monotonic() - (self._read_at or 0.0))
                found = self._anchor.world(self._wall + since)
            self._latest = max(self._latest, found)
            return self._latest

    def anchor(self) -> Anchor | None:
        """The rehearsal's anchor in force, or None while business time is real time."""
        with self._lock:
            self._refresh()
            return self._anchor

    def _refresh(self) -> None:
        if self._read_at is not None and time.monotonic() - self._read_at < REFRESH_SECONDS:
            return
        try:
            with reading(self._engine) as conn:
                anchor, wall = _read(conn)
        except sa.exc.OperationalError:
            if self._read_at is None:
                raise
            return
        if anchor is None and self._anchor is not None:
            # The rehearsal was ended: real time may lie behind the world's, and is true again.
            self._latest = datetime.min.replace(tzinfo=UTC)
        self._anchor, self._wall, self._read_at = anchor, wall, time.monotonic()


def anchor(conn: Writing, world_at: datetime, rate: float, lease_seconds: float) -> datetime:
    """Say that it is `world_at` now and runs at `rate` for `lease_seconds` of wall time; returns the world time set.

    Business time never goes backwards: an anchor behind the one in force is moved up to it.
    """
    conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('process.clock'))"))
    found, wall = _read(conn)
    world = _utc(world_at) if found is None else max(_utc(world_at), found.world(wall))
    conn.execute(
        sa.text(
            "INSERT INTO process.clock (id, world_at, wall_at, rate, until_at)"
            " VALUES (:id, :world_at, :wall_at, :rate, :until_at)"
            " ON CONFLICT (id) DO UPDATE SET world_at = excluded.world_at, wall_at = excluded.wall_at,"
            " rate = excluded.rate, until_at = excluded.until_at"
        ),
        {
            "id": _ROW,
            "world_at": world,
            "wall_at": wall,
            "rate": rate,
            "until_at": wall + timedelta(seconds=lease_seconds),
        },
    )
    return world


def forget(conn: Writing) -> None:
    """End the rehearsal: business time is real time again."""
    conn.execute(sa.text("DELETE FROM process.clock WHERE id = :id"), {"id": _ROW})


def _read(conn: Reading) -> tuple[Anchor | None, datetime]:
    row = conn.execute(
        sa.text(
            "SELECT clock_timestamp() AS wall, c.world_at, c.wall_at, c.rate, c.until_at"
            " FROM (SELECT 1) one LEFT JOIN process.clock c ON c.id = :id"
        ),
        {"id": _ROW},
    ).one()
    wall: datetime = row.wall
    if row.world_at is None:
        return None, wall
    return Anchor(row.world_at, row.wall_at, float(row.rate), row.until_at), wall


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: business times are aware")
    return moment.astimezone(UTC)
