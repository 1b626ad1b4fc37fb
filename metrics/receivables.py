"""Receivables: how fast invoices become cash, how much is open, how much is late. Pure: a frame of invoices in, figures out.

Each basic measure is a pair of Polars expressions over the frame of `metrics.invoices`, so that one definition answers for the whole,
for every group of a dimension, now and as known at any moment. `on` is the business day asked about: due before it is overdue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import polars as pl

Day = date
_INVOICE = ~pl.col("is_credit")
_CLEARED = _INVOICE & pl.col("cleared_on").is_not_null()
_OPEN = _INVOICE & (pl.col("open_amount") > 0)
_DAYS = (pl.col("cleared_on") - pl.col("issue_date")).dt.total_days()
_DAYS_LATE = (pl.col("cleared_on") - pl.col("due_date")).dt.total_days()
_JUDGED = _CLEARED & pl.col("due_date").is_not_null()
_LATE = _JUDGED & (pl.col("cleared_on") > pl.col("due_date"))


@dataclass(frozen=True, slots=True)
class Basic:
    """A measure as two expressions: its value, and how many records it rests on. `missing` says why there may be none."""

    value: Callable[[Day], pl.Expr]
    count: Callable[[Day], pl.Expr]
    missing: str


def _overdue(on: Day) -> pl.Expr:
    return _OPEN & (pl.col("due_date") < on)


def _quantile(share: float) -> Callable[[Day], pl.Expr]:
    return lambda _on: _DAYS.filter(_CLEARED).quantile(share, interpolation="linear").round(10)


def _ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """Null, never 0, where there is nothing to divide by."""
    return pl.when(whole.sum() > 0).then(part.sum() / whole.sum()).round(10)


def _total(column: str, which: pl.Expr) -> pl.Expr:
    """The sum of one column; null when an amount has no rate, or when there is no invoice at all."""
    amounts = pl.col(column).filter(which)
    answerable = (amounts.is_null().sum() == 0) & (_INVOICE.sum() > 0)
    return pl.when(answerable).then(amounts.sum())


def _number(which: pl.Expr) -> pl.Expr:
    return pl.when(_INVOICE.sum() > 0).then(which.sum())


_NONE_CLEARED = "no invoice is fully cleared yet"
_NONE = "no invoices"
_NO_RATE = "no invoices, or no reference rate for one of their currencies"

BASICS: dict[str, Basic] = {
    "invoice_to_payment_p50": Basic(_quantile(0.5), lambda _on: _CLEARED.sum(), _NONE_CLEARED),
    "invoice_to_payment_p90": Basic(_quantile(0.9), lambda _on: _CLEARED.sum(), _NONE_CLEARED),
    "invoice_to_payment_p95": Basic(_quantile(0.95), lambda _on: _CLEARED.sum(), _NONE_CLEARED),
    "invoice_count": Basic(lambda _on: _number(_INVOICE), lambda _on: _INVOICE.sum(), _NONE),
    "invoiced_total": Basic(lambda _on: _total("gross_reporting", _INVOICE), lambda _on: _INVOICE.sum(), _NO_RATE),
    "late_share": Basic(lambda _on: _ratio(_LATE, _JUDGED), lambda _on: _JUDGED.sum(), "no cleared invoice has a due date"),
    "dispute_share": Basic(lambda _on: _ratio(_INVOICE & pl.col("is_disputed"), _INVOICE), lambda _on: _INVOICE.sum(), _NONE),
    "mean_days_late": Basic(
        lambda _on: _DAYS_LATE.filter(_LATE).mean().round(10), lambda _on: _LATE.sum(), "no invoice was cleared after its due date"
    ),
    "open_count": Basic(lambda _on: _number(_OPEN), lambda _on: _OPEN.sum(), _NONE),
    "open_total": Basic(lambda _on: _total("open_reporting", _OPEN), lambda _on: _OPEN.sum(), _NO_RATE),
    "overdue_count": Basic(lambda on: _number(_overdue(on)), lambda on: _overdue(on).sum(), _NONE),
    "overdue_total": Basic(lambda on: _total("open_reporting", _overdue(on)), lambda on: _overdue(on).sum(), _NO_RATE),
}


def basic(frame: pl.DataFrame, slug: str, on: Day) -> pl.DataFrame:
    """One row: value, count of measure `slug` over all of `frame` on business day `on`."""
    measure = BASICS[slug]
    return frame.select(measure.value(on).alias("value"), measure.count(on).alias("count"))


def basic_by(keyed: pl.DataFrame, slug: str, on: Day) -> pl.DataFrame:
    """Rows key, value, count of measure `slug` for every group of `keyed` (see `metrics.invoices.keyed`), by key."""
    measure = BASICS[slug]
    return keyed.group_by("key").agg(measure.value(on).alias("value"), measure.count(on).alias("count")).sort("key")
