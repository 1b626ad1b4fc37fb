"""`LiveDesk`: the Desk protocol over `sync`, `metrics` and `db`; each question is answered by one module of this package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import structlog

from app.desk import (
    Cash,
    CashFilter,
    ConnectionView,
    Evidence,
    ExceptionDetail,
    ExceptionFilter,
    Exceptions,
    Exposure,
    ExposureFilter,
    Intent,
    Journey,
    JourneyHit,
    OrderKey,
    Person,
    Preview,
    Receipt,
    Receivables,
    ReceivablesFilter,
    SalesOrder,
    Today,
    WhatIf,
)
from app.live import cash, commands, evidence, exceptions, exposure, journeys, orders, previews, receivables, sources, today, what_if
from app.office import Office
from db.clock import DatabaseClock
from db.engine import Reading, Scope, reading, writing
from metrics.frames import NOW, Bound, known
from sync.connections import Landscape

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

    @property
    def _landscape(self) -> Landscape:
        """The installation's configuration with the connections of this person's regions alone: of others they see no row, and one without
        rows would look as if it had never been read.
        """
        whole, regions = self._office.landscape, self._person.regions
        if regions is None:
            return whole
        return whole.model_copy(update={"connections": tuple(each for each in whole.connections if each.region in regions)})

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

    def today(self, known_at: datetime | None = None) -> Today:
        with self._reading() as conn:
            return today.today(conn, self._landscape, self._person, now=self.now(), known_at=known_at)

    def receivables(self, query: ReceivablesFilter, known_at: datetime | None = None) -> Receivables:
        with self._reading() as conn:
            return receivables.answer(conn, query, now=self.now(), known_at=known_at, currency=self._currency)

    def invoices(self, query: ReceivablesFilter, known_at: datetime | None = None) -> pl.DataFrame:
        with self._reading() as conn:
            return receivables.invoices(conn, query, now=self.now(), known_at=known_at, currency=self._currency)

    def cash(self, query: CashFilter, known_at: datetime | None = None) -> Cash:
        with self._reading() as conn:
            return cash.answer(conn, self._office.landscape, query, regions=self._person.regions, now=self.now(), known_at=known_at)

    def exposure(self, query: ExposureFilter, known_at: datetime | None = None) -> Exposure:
        with self._reading() as conn:
            return exposure.answer(conn, self._office.landscape, query, now=self.now(), known_at=known_at)

    def search(self, text: str) -> Sequence[JourneyHit]:
        with self._reading() as conn:
            return journeys.search(conn, text)

    def journey(self, number: str, known_at: datetime | None = None) -> Journey | None:
        with self._reading() as conn:
            return journeys.journey(conn, number, now=self.now(), bound=_bound(known_at))

    def order(self, order: OrderKey) -> SalesOrder:
        with self._reading() as conn:
            return orders.order(conn, self._office.landscape, order)

    def exceptions(self, query: ExceptionFilter, page: int = 0, page_size: int = 50) -> Exceptions:
        with self._reading() as conn:
            return exceptions.exceptions(conn, query, page, page_size, now=self.now(), currency=self._currency)

    def exception(self, exception_id: int) -> ExceptionDetail:
        with self._reading() as conn:
            return exceptions.exception(conn, exception_id, currency=self._currency)

    def what_if(self, party: int, amount: Decimal, currency: str) -> WhatIf:
        with self._reading() as conn:
            return what_if.what_if(conn, self._office.landscape, party, amount, currency, now=self.now())

    def preview(self, ids: Sequence[int], query: ExceptionFilter | None) -> Preview:
        return previews.preview(self._office, self.scope, ids, query)

    def submit(self, intent: Intent) -> Receipt:
        with writing(self._office.database.engine, self.scope) as conn:
            command_id = commands.file(conn, intent, self._person, now=self.now())
        return self.receipt(command_id)

    def receipt(self, command_id: int) -> Receipt:
        with self._reading() as conn:
            return commands.receipt(conn, command_id)

    @property
    def _currency(self) -> str:
        return self._office.landscape.reporting_currency

    def connections(self) -> Sequence[ConnectionView]:
        with self._reading() as conn:
            return sources.connections(conn, self._landscape, now=self.now())

    def evidence(self, raw_record_id: int) -> Evidence:
        with self._reading() as conn:
            return evidence.evidence(conn, raw_record_id)

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        with reading(self._office.database.engine, self.scope) as conn:
            yield conn


def _bound(known_at: datetime | None) -> Bound:
    return NOW if known_at is None else known(known_at)
