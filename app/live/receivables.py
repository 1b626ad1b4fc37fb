"""Receivables: how fast do invoices become cash, and who is slow?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl
import sqlalchemy as sa

from app.desk import Receivables, ReceivablesFilter, Tile
from app.live.figures import answer_tile
from db.engine import Reading
from db.money import AMOUNT
from metrics import book, freshness, latency, reads, receivables
from metrics.frames import EVERYTHING, Where
from metrics.invoices import keyed

COHORT_WEEKS = 26
LEDGER_DAYS = 400
_INVOICE_COLUMNS = (
    "number", "customer", "legal_entity", "region", "issue_date", "due_date", "cleared_on", "gross", "open_amount", "currency",
    "days_to_pay", "is_disputed", "raw_record_id",
)  # fmt: skip


def where_of(regions: Sequence[str]) -> Where:
    """The cut of a filter's regions."""
    return Where(None, frozenset(regions)) if regions else EVERYTHING


def answer(conn: Reading, query: ReceivablesFilter, *, now: datetime, known_at: datetime | None, currency: str) -> Receivables:
    """The page: from the read models now, from the facts as known then."""
    at = known_at or now
    on = at.date()
    where = where_of(query.regions)
    entities = list(query.legal_entities) or None
    frame = reads.ledger(
        conn,
        reporting_currency=currency,
        known_at=known_at,
        where=where,
        legal_entities=entities,
        customer=query.customer,
        since=on - timedelta(days=LEDGER_DAYS),
    )
    since = on - timedelta(weeks=COHORT_WEEKS)
    shown = _of_week(frame, query.week)
    regions, codes = _choices(conn)
    watermark = freshness.watermark(conn)
    return Receivables(
        as_of=at,
        currency=currency,
        rate_date=reads.rate_date(conn, on),
        settling=watermark is None or at > watermark,
        figures=_figures(frame, on, at),
        cohorts=_cohorts(conn, frame, query, since, from_rollup=known_at is None and query.customer is None),
        breakdown=_breakdown(shown, query.dimension, on),
        aging=book.aging(shown, on),
        survival=latency.survival(frame.filter(pl.col("issue_date") >= since), on),
        regions=regions,
        legal_entities=codes,
    )


def invoices(conn: Reading, query: ReceivablesFilter, *, now: datetime, known_at: datetime | None, currency: str) -> pl.DataFrame:
    """The invoices behind a point: those of the filter, newest first, in their own currencies."""
    frame = reads.ledger(
        conn,
        reporting_currency=currency,
        known_at=known_at,
        where=where_of(query.regions),
        legal_entities=list(query.legal_entities) or None,
        customer=query.customer,
        week=query.week,
        since=None if query.week or query.customer else (known_at or now).date() - timedelta(days=91),
    )
    days = (pl.col("cleared_on") - pl.col("issue_date")).dt.total_days().alias("days_to_pay")
    name = pl.coalesce("customer_name", "customer_key").alias("customer")
    return frame.with_columns(days, name).select(_INVOICE_COLUMNS).sort("issue_date", "number", descending=[True, False])


def _of_week(frame: pl.DataFrame, week: date | None) -> pl.DataFrame:
    return frame if week is None else frame.filter(pl.col("issue_date").is_between(week, week + timedelta(days=6)))


def _choices(conn: Reading) -> tuple[list[str], list[str]]:
    rows = conn.execute(sa.text("select distinct region, legal_entity from measure.latency_rollup")).all()
    return sorted({row.region for row in rows}), sorted({row.legal_entity for row in rows if row.legal_entity})


def _cohorts(conn: Reading, frame: pl.DataFrame, query: ReceivablesFilter, since: date, *, from_rollup: bool) -> pl.DataFrame:
    """One line for all and one per group of the dimension; of customers and countries the total only, for lines of hundreds say nothing."""
    dimension = query.dimension if query.dimension in ("region", "legal_entity", "currency") else None
    if from_rollup:
        slices = reads.cohort_slice(conn, since=since, where=where_of(query.regions), legal_entities=list(query.legal_entities) or None)
        parts = [reads.cohorts(slices), *([reads.cohorts(slices, dimension)] if dimension else [])]
    else:
        recent = frame.filter(pl.col("issue_date") >= since)
        whole = latency.cohorts(recent).with_columns(pl.lit("all").alias("group"))
        parts = [whole, *([latency.cohorts(recent, dimension)] if dimension else [])]
    columns = ["week", "p50", "p90", "p95", "invoices", "cleared", "settled_share", "group"]
    return pl.concat([part.select(columns) for part in parts], how="vertical_relaxed").sort("group", "week")


def _breakdown(frame: pl.DataFrame, dimension: str, on: date) -> pl.DataFrame:
    groups = keyed(frame, dimension if dimension in ("region", "legal_entity", "customer", "country", "currency") else "region")
    speed = latency.breakdown(groups)
    late = receivables.basic_by(groups, "late_share", on).select("key", pl.nth(1).alias("late_share"))
    is_open = pl.col("open_amount") > 0
    amounts = groups.group_by("key").agg(
        pl.col("open_reporting").filter(is_open).sum().cast(AMOUNT).alias("open"),
        pl.col("open_reporting").filter(is_open & (pl.col("due_date") < on)).sum().cast(AMOUNT).alias("overdue"),
    )
    name = pl.coalesce("name", "key") if dimension == "customer" else pl.col("key")
    return (
        speed.join(late, on="key", how="left")
        .join(amounts, on="key", how="left")
        .with_columns(name.alias("name"), pl.col("late_share").cast(pl.Float64))
        .select("key", "name", "invoices", "p50", "p90", "p95", "late_share", "open", "overdue")
        .sort("open", "key", descending=[True, False])
    )


def _figures(frame: pl.DataFrame, on: date, at: datetime) -> list[Tile]:
    """The DSO family; a figure that can't be computed says why."""
    found = [
        # DSO, best possible DSO and their difference are of one method; count-back is another and stands after them.
        ("dso", book.dso(frame, on), "days"),
        ("best_possible_dso", book.dso(frame, on, not_yet_due=True), "days"),
        ("average_days_delinquent", book.average_days_delinquent(frame, on), "days"),
        ("dso_countback", book.count_back(frame, on), "days"),
        ("weighted_days_late", book.weighted_days_late(frame, on), "days"),
        ("kaplan_meier_median", book.kaplan_meier_median(frame, on), "days"),
        ("concentration_top10", book.top_ten_share(frame), "%"),
    ]
    tiles = [
        answer_tile(slug, _scaled(one.value, unit), unit, page="receivables", now=at, missing=one.missing, health="good")
        for slug, one, unit in found
    ]
    late, count = receivables.basic(frame, "late_share", on).row(0)
    return [
        *tiles,
        answer_tile(
            "late_share", _scaled(late, "%"), "%", page="receivables", now=at, second_line=f"{count:,} cleared invoices", health="good"
        ),
    ]


def _scaled(value: Decimal | float | None, unit: str) -> Decimal | None:
    if value is None:
        return None
    exact = value if isinstance(value, Decimal) else Decimal(str(value))
    return (exact * 100 if unit == "%" else exact).quantize(Decimal("0.1"))
