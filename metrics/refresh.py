"""Keeps the read models up to the facts: takes the marks that promotion left and recomputes only the touched groups.

Marks name what changed: (invoice, source, invoice key) · (customer, source, customer key) · balance · forecast · stream. They are
deleted in the same transaction as the recomputation, so a mark is lost only together with nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from db.engine import Writing, driver, writing
from metrics import figures, freshness, outlook
from metrics.frames import Keys, statement
from metrics.frames import run as execute

MOST_MARKS = 50_000
_PAST_DAYS_PER_RUN = 3
_Group = tuple[date, str, str, str]


@dataclass(frozen=True, slots=True)
class Episode:
    """A breach of a credit limit: from when exposure went above a valid limit until it was within it again. Reporting currency."""

    id: int
    party_id: int
    region: str
    opened_at: datetime
    cleared_at: datetime | None
    currency: str
    limit_amount: Decimal | None
    peak: Decimal
    latest: Decimal


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What one refresh did. `opened` and `cleared` are the breach episodes that began and ended in it: the caller says so as events."""

    marks: int = 0
    invoices: int = 0
    groups: int = 0
    parties: int = 0
    opened: tuple[Episode, ...] = ()
    cleared: tuple[Episode, ...] = ()
    forecast_run: int | None = None
    shares_due: bool = False
    more: bool = False


@dataclass(slots=True)
class _Marks:
    taken: int = 0
    invoices: list[tuple[str, str]] = field(default_factory=list)
    customers: list[tuple[str, str]] = field(default_factory=list)
    balance: bool = False
    forecast: bool = False


def run(engine: sa.Engine, *, now: datetime, reporting_currency: str) -> Refreshed:
    """Take the marks and bring what they touch up to the facts, in one transaction. `now` is business time, UTC.

    One runs at a time, another waits for it. `more` says that marks are left (there is a bound per run).
    """
    with writing(engine) as conn:
        return refresh(conn, now=now, reporting_currency=reporting_currency)


def refresh(conn: Writing, *, now: datetime, reporting_currency: str) -> Refreshed:
    """As `run`, in the caller's transaction, so that events of breaches can be written in the same one."""
    _alone(conn)
    marks = _take(conn)
    customers = [*marks.customers, *_strays(conn)]
    new_day = figures.is_new_day(conn, now)
    if not marks.taken and not customers and not new_day:
        return Refreshed()
    groups, parties = _refresh_invoices(conn, marks.invoices, customers, reporting_currency)
    _put_latency(conn, groups, now)
    # Overnight limits expire, items fall due and rates change: once a day everybody is looked at.
    opened, cleared = put_exposure(conn, None if new_day else sorted(parties), now=now, reporting_currency=reporting_currency)
    if marks.balance:
        _refresh_cash(conn, reporting_currency)
    history = freshness.history(conn)
    made = None
    if history != "filling":
        made = outlook.publish_if_due(conn, now=now, reporting_currency=reporting_currency)
    figures.put_today(conn, now=now, reporting_currency=reporting_currency)
    lags = freshness.put_lags(conn, now=now)
    if history == "complete":
        figures.put_past(conn, now=now, reporting_currency=reporting_currency, most=_PAST_DAYS_PER_RUN)
        outlook.publish_past(conn, now=now, reporting_currency=reporting_currency)
    return Refreshed(
        marks=marks.taken,
        invoices=len(marks.invoices),
        groups=len(groups),
        parties=len(parties),
        opened=opened,
        cleared=cleared,
        forecast_run=made,
        shares_due=lags and history == "complete",
        more=marks.taken >= MOST_MARKS,
    )


def rebuild(engine: sa.Engine, *, now: datetime, reporting_currency: str) -> Refreshed:
    """Compute every read model from the facts alone. Breach episodes and published forecasts are history and stay."""
    with writing(engine) as conn:
        _alone(conn)
        driver(conn).execute("delete from measure.touched")
        invoices = execute(conn, "put_invoice_facts", on_date=None, reporting=reporting_currency)
        driver(conn).execute("delete from measure.latency_rollup")
        groups = _groups(conn, None)
        _put_latency(conn, groups, now)
        opened, cleared = put_exposure(conn, None, now=now, reporting_currency=reporting_currency)
        _refresh_cash(conn, reporting_currency)
        made = outlook.publish_if_due(conn, now=now, reporting_currency=reporting_currency)
        figures.put_today(conn, now=now, reporting_currency=reporting_currency, afresh=True)
        return Refreshed(invoices=invoices, groups=len(groups), opened=opened, cleared=cleared, forecast_run=made)


def _alone(conn: Writing) -> None:
    """Until the commit no other refresh runs: of two that recompute the same group, the one that saw less might write last."""
    driver(conn).execute("set local lock_timeout = '240s'; select pg_advisory_xact_lock(hashtext('measure.touched'))")


def _take(conn: Writing) -> _Marks:
    taken = driver(conn).execute(statement("take_marks"), {"most": MOST_MARKS}).fetchall()
    marks = _Marks(len(taken))
    for kind, source, key in dict.fromkeys(taken):
        if kind == "invoice":
            marks.invoices.append((source, key))
        elif kind == "customer":
            marks.customers.append((source, key))
        elif kind == "balance":
            marks.balance = True
        elif kind == "forecast":
            marks.forecast = True
    return marks


def _strays(conn: Writing) -> list[tuple[str, str]]:
    """Customers whose party was found after their rows were computed: identities are resolved apart from promotion."""
    return [(source, key) for source, key in driver(conn).execute(statement("strays"))]


def _refresh_invoices(conn: Writing, touched: Keys, customers: Keys, reporting: str) -> tuple[set[_Group], set[int]]:
    """Bring the touched invoice facts up to date; returns the groups and the parties whose figures that may change."""
    groups, parties = _groups(conn, touched), _parties(conn, touched, customers)
    if touched:
        execute(conn, "put_invoice_facts", only=touched, on_date=None, reporting=reporting)
    if customers:
        execute(conn, "put_customers_on_facts", only=customers)
    return groups | _groups(conn, touched), parties | _parties(conn, touched, customers)


def _groups(conn: Writing, touched: Keys | None) -> set[_Group]:
    if touched is not None and not touched:
        return set()
    return {(week, region, entity, currency) for week, region, entity, currency in _rows(conn, "groups", touched)}


def _parties(conn: Writing, touched: Keys, customers: Keys) -> set[int]:
    of_invoices = _rows(conn, "parties_of_invoices", touched) if touched else []
    of_customers = _rows(conn, "parties_of_customers", customers) if customers else []
    return {party for (party,) in (*of_invoices, *of_customers)}


def _rows(conn: Writing, name: str, only: Keys | None) -> Sequence[tuple[Any, ...]]:
    given = {"only_sources": [source for source, _ in only or ()], "only_keys": [key for _, key in only or ()]}
    return driver(conn).execute(statement(name, cut=only is not None), given).fetchall()


def _put_latency(conn: Writing, groups: Iterable[_Group], now: datetime) -> None:
    listed = sorted(groups)
    if not listed:
        return
    weeks, regions, entities, currencies = (list(column) for column in zip(*listed, strict=True))
    execute(conn, "put_latency", weeks=weeks, group_regions=regions, entities=entities, currencies=currencies, now=now)


def put_exposure(
    conn: Writing, parties: list[int] | None, *, now: datetime, reporting_currency: str
) -> tuple[tuple[Episode, ...], tuple[Episode, ...]]:
    """Exposure of these parties (None: all) and their breach episodes; returns those opened and those cleared."""
    if parties is not None and not parties:
        return (), ()
    execute(conn, "put_exposure", parties=parties, on_date=now.date(), reporting=reporting_currency, now=now)
    if freshness.history(conn) == "filling":
        # Invoices may be here before their payments are: what looks like a breach now is half a history.
        return (), ()
    everybody = parties is None or driver(conn).execute("select 1 from measure.breach limit 1").fetchone() is None
    given = {"parties": None if everybody else parties, "now": now}
    cleared = driver(conn).execute(statement("clear_breaches"), given).fetchall()
    opened = [row[:-1] for row in driver(conn).execute(statement("open_breaches"), given) if row[-1]]
    return tuple(Episode(*row) for row in opened), tuple(Episode(*row) for row in cleared)


def _refresh_cash(conn: Writing, reporting: str) -> None:
    driver(conn).execute("delete from measure.cash_position")
    execute(conn, "put_cash_position", reporting=reporting)
