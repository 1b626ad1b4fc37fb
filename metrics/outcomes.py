"""What the programme is worth, in figures with rows behind them: no invented savings. Pure functions over one line of counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl

from db.engine import Reading
from metrics.book import PERIOD_DAYS, Answer, net_sales
from metrics.frames import EVERYTHING, Question, Where, ask

PERIOD = timedelta(days=28)

OUTCOMES = Question(
    "outcomes", {"received": pl.Int64, "duplicates": pl.Int64, "exceptions": pl.Int64, "resolved": pl.Int64, "repair_seconds": pl.Float64}
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Since a moment: records received, duplicates among them, exceptions opened and resolved, mean seconds to resolve."""

    received: int
    duplicates: int
    exceptions: int
    resolved: int
    repair_seconds: float | None


def counts(conn: Reading, *, now: datetime, where: Where = EVERYTHING) -> Counts:
    """The counts of the last 28 days before `now` (business time, UTC)."""
    return Counts(**ask(conn, OUTCOMES, where=where, since=now - PERIOD).row(0, named=True))


def duplicates_prevented(found: Counts) -> Answer:
    """Records that came twice and became one entry."""
    return Answer(found.duplicates, found.received) if found.received else Answer(None, 0, "nothing was received in the last 28 days")


def incidents_per_ten_thousand(found: Counts) -> Answer:
    """Exceptions for every 10,000 records received."""
    if not found.received:
        return Answer(None, 0, "nothing was received in the last 28 days")
    return Answer(found.exceptions / found.received * 10_000, found.received)


def time_to_repair(found: Counts) -> Answer:
    """Mean seconds from an exception's first sight to its resolution."""
    if found.repair_seconds is None:
        return Answer(None, 0, "no exception was resolved in the last 28 days")
    return Answer(found.repair_seconds, found.resolved)


def value_of_a_day(frame: pl.DataFrame, on: date) -> Answer:
    """What one day of DSO is worth: net sales of the last 91 days by 91, in the reporting currency."""
    sales = net_sales(frame, on)
    if sales is None:
        return Answer(None, 0, "no reference rate for one of the currencies")
    if sales <= 0:
        return Answer(None, 0, f"needs sales in the last {PERIOD_DAYS} days")
    return Answer((sales / PERIOD_DAYS).quantize(Decimal("0.01")), frame.height)
