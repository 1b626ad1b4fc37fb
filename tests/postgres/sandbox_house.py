"""Tidegate beside a sandbox of its own: pull, refresh, decide and deliver by hand, one step at a time, on real wire formats."""

from __future__ import annotations

import json
import os
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.sandbox_link import environment
from db.clock import FixedClock
from db.engine import Database
from sync import delivery, process_region, refreshing
from sync.connections import Connection, Landscape, load
from sync.ingest import opened_source
from sync.pull import PullResult, pull_stream

ROOT = Path(__file__).resolve().parents[2]
REGIONS = ("EMEA", "NA", "LATAM", "APAC")


@dataclass
class SandboxHouse:
    """The connections of tidegate.toml, pointed at a running sandbox."""

    database: Database
    landscape: Landscape
    control: str
    clock: FixedClock

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call to the sandbox's control port."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.control}{path}", data=data, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def tick(self) -> datetime:
        """Business time becomes the sandbox's world time."""
        now = datetime.fromisoformat(self.ask("/control/clock")["world_at"]).astimezone(UTC)
        self.clock.set(max(now, self.clock.now()))
        return self.clock.now()

    def advance(self, **by: float) -> None:
        self.ask("/control/advance", by)
        self.tick()

    def act(self, do: str, **more: Any) -> Any:
        return self.ask("/control/act", {"do": do, **more})

    def pull(self, *names: str) -> list[PullResult]:
        """Every stream of the named connections (all when none is named), then the measures."""
        self.tick()
        results = []
        for connection in self.landscape.connections:
            if names and connection.name not in names:
                continue
            results += self._pull(connection)
        refreshing.refresh_measures(self.database.engine, self.landscape, now=self.clock.now())
        return results

    def _pull(self, connection: Connection) -> list[PullResult]:
        with opened_source(connection, self.landscape) as source:
            return [
                pull_stream(self.database, connection, self.landscape, source, stream.name, clock=self.clock, trigger="test")
                for stream in source.streams()
            ]

    def decide(self) -> list[process_region.Processed]:
        return [process_region.run(self.database, self.landscape, region, self.clock) for region in REGIONS]

    def deliver(self) -> list[delivery.Delivered]:
        return [
            delivery.run(self.database, self.landscape, connection.name, self.clock)
            for connection in self.landscape.connections
            if connection.system in ("sap_s4", "salesforce", "kyriba")
        ]

    def writes(self, **only: str) -> list[dict[str, Any]]:
        """What other systems executed here, by their own log."""
        entries = self.ask("/control/log?kind=write")["writes"]
        return [entry for entry in entries if all(entry.get(name) == value for name, value in only.items())]

    def rows(self, statement: str, **bound: Any) -> list[Any]:
        with self.database.engine.connect() as conn:
            return list(conn.execute(sa.text(statement), bound))


def furnish(engine: sa.Engine, sandbox: Any) -> SandboxHouse:
    """A house beside `sandbox` (as `sandbox.running` gives it)."""
    landscape = load(ROOT / "tidegate.toml", environment(sandbox.manifest))
    os.environ.update(environment(sandbox.manifest))
    database = Database(engine, engine.url.render_as_string(hide_password=False), None)
    house = SandboxHouse(database, landscape, sandbox.control, FixedClock(datetime(2020, 1, 1, tzinfo=UTC)))
    house.tick()
    return house
