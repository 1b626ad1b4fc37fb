"""A worker of its own process that decides, delivers and carries out commands until nothing is due; tests kill it on its way.

Its targets keep their log in a file, written through to the disk before they answer: the truth of what other systems executed.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import Database, create, reading
from sync import delivery, effects, handlers, process_region, replay
from sync.connections import Connection, Landscape
from sync.ports import Order, Receipt
from tests.postgres.process_world import NOW, landscape


@dataclass
class LoggingTarget:
    """Executes a write by appending its key to a file."""

    log: Path

    def apply(self, order: Order) -> Receipt:
        with self.log.open("a") as file:
            file.write(json.dumps({"key": order.effect_key}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return Receipt("applied", reference=order.effect_key)

    def read(self, order: Order) -> Receipt:
        known = self.log.read_text() if self.log.exists() else ""
        return Receipt("already" if f'"{order.effect_key}"' in known else "absent")

    def close(self) -> None:
        """Nothing is held open."""


def work(url: str, log: Path) -> None:
    """Commands, then rules, then deliveries, again until nothing is due."""
    engine = create(url, application="tidegate-crash")
    database, clock, where = Database(engine, url, None), FixedClock(NOW), landscape()

    def opened(_connection: Connection, _landscape: Landscape) -> LoggingTarget:
        return LoggingTarget(log)

    for _ in range(10):
        with reading(engine) as conn:
            commands = list(conn.scalars(sa.text("select id from process.command where state in ('queued', 'running') order by id")))
        for command in commands:
            handlers.run_command(database, where, command, clock, tools=replay.Tools(where, open_target=opened))
        process_region.run(database, where, "EMEA", clock)
        with reading(engine) as conn:
            targets = effects.connections_due(conn)
        for connection in targets:
            delivery.run(database, where, connection, clock, target=opened)
        if not commands and not targets:
            break
    engine.dispose()


if __name__ == "__main__":
    work(sys.argv[1], Path(sys.argv[2]))
