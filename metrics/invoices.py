"""The invoices as every receivables measure sees them: one row per posted invoice with what was applied to it."""

from __future__ import annotations

from datetime import date

import polars as pl

from db.engine import Reading
from db.money import AMOUNT
from metrics.frames import EVERYTHING, NOW, Bound, Question, Where, ask

INVOICES = Question(
    "invoices",
    {
        "source": pl.String,
        "source_key": pl.String,
        "number": pl.String,
        "customer_key": pl.String,
        "customer_name": pl.String,
        "party_id": pl.Int64,
        "country": pl.String,
        "region": pl.String,
        "legal_entity": pl.String,
        "currency": pl.String,
        "issue_date": pl.Date,
        "due_date": pl.Date,
        "cleared_on": pl.Date,
        "gross": AMOUNT,
        "applied": AMOUNT,
        "open_amount": AMOUNT,
        "gross_reporting": AMOUNT,
        "open_reporting": AMOUNT,
        "is_disputed": pl.Boolean,
        "is_credit": pl.Boolean,
        "raw_record_id": pl.Int64,
    },
)

DIMENSIONS = ("country", "region", "legal_entity", "customer", "currency", "week")


def invoices(
    conn: Reading, *, reporting_currency: str, on: date | None = None, bound: Bound = NOW, where: Where = EVERYTHING
) -> pl.DataFrame:
    """Frame of INVOICES: with `on`, only what was issued and cleared by the end of that business day.

    Amounts stand in their own currency and, by the reference rate of the issue date, in `reporting_currency` (null without a rate).
    Credit notes have negative amounts. `cleared_on` is the last clearing of a fully cleared invoice, else null.
    """
    return ask(conn, INVOICES, bound=bound, where=where, reporting=reporting_currency, on_date=on).sort("source", "source_key")


def keyed(frame: pl.DataFrame, dimension: str) -> pl.DataFrame:
    """`frame` with a text column `key`: the group of each invoice by one of DIMENSIONS; 'unknown' where the source is silent.

    Raises ValueError for another dimension.
    """
    if dimension not in DIMENSIONS:
        raise ValueError(f"receivables have no dimension {dimension!r}: choose one of {', '.join(DIMENSIONS)}")
    if dimension == "week":
        key = pl.col("issue_date").dt.truncate("1w").dt.to_string("%Y-%m-%d")
    else:
        key = pl.col("customer_key" if dimension == "customer" else dimension)
    return frame.with_columns(key.fill_null("unknown").alias("key"))
