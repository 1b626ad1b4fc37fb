"""The world with its clock, journal and fault dial: what every system serves from and writes to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.clock import WorldClock
from sandbox.faults import Dial
from sandbox.journal import Journal
from sandbox.world import founding
from sandbox.world.engine import World
from sandbox.world.operations import OPERATIONS


@dataclass
class Host:
    """One running world. All calls come from one thread."""

    world: World
    clock: WorldClock
    journal: Journal
    dial: Dial = field(default_factory=Dial)

    def catch_up(self) -> World:
        """The world as it is now by its clock."""
        self.world.advance(self.clock.now())
        return self.world

    def run(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Does something to the world for good: it is on disk before this returns. Raises Refused or LookupError.

        A frozen clock moves by a millisecond, so that no two states of a record share a stamp.
        """
        if self.clock.frozen:
            self.clock.advance(timedelta(milliseconds=1))
        self.catch_up()
        self.journal.operation(self.world, name, arguments)
        return OPERATIONS[name](self.world, **arguments)

    def advance(self, by: timedelta) -> datetime:
        """Moves the clock by hand and lives up to it."""
        self.clock.advance(by)
        self.catch_up()
        self.journal.mark(self.world)
        return self.world.now


def open_world(state: Path, *, seed: int, customers: int, history_days: int, rate: float, start_at: datetime) -> Host:
    """The world of a state folder: as it was left, or founded at `start_at` when there is none."""
    journal = Journal(state)
    world = journal.load()
    if world is None:
        world = founding.found(seed, start_at, customers=customers, history_days=history_days)
        (state / "origin.json").write_text(json.dumps({"seed": seed, "customers": customers, "history_days": history_days}))
    journal.save(world)
    return Host(world, WorldClock(world.now, rate), journal)
