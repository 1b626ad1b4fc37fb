"""`LiveDesk`: the Desk protocol over `sync`, `metrics` and `db`; each question is answered by one module of this package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog

from app.desk import (
    ConnectionView,
    Evidence,
    Person,
)
from app.live import evidence, sources
from app.office import Office
from db.clock import DatabaseClock
from db.engine import Reading, Scope, reading

_LOG = structlog.get_logger(__name__)


class LiveDesk:
    """One person's desk over an open office."""

    def __init__(self, office: Office, person: Person) -> None:
        self._office = office
        self._person = person

    @property
    def person(self) -> Person:
        return self._person

    @property
    def scope(self) -> Scope:
        """What the database lets this person see."""
        return Scope(regions=self._person.regions, actor=self._person.subject)

    def now(self) -> datetime:
        return self._office.clock.now()

    def rehearsal(self) -> str | None:
        clock = self._office.clock
        anchor = clock.anchor() if isinstance(clock, DatabaseClock) else None
        if anchor is None:
            return None
        stands = anchor.until_at < datetime.now(UTC)
        pace = "standing still" if stands else f"1 day in {86400 / anchor.rate / 60:.0f} min"
        return f"Sandbox time {clock.now():%Y-%m-%d %H:%M} UTC, {pace}"

    def connections(self) -> Sequence[ConnectionView]:
        with self._reading() as conn:
            return sources.connections(conn, self._office.landscape, now=self.now())

    def evidence(self, raw_record_id: int) -> Evidence:
        with self._reading() as conn:
            return evidence.evidence(conn, raw_record_id)

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        with reading(self._office.database.engine, self.scope) as conn:
            yield conn
