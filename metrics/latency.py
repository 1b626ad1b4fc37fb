"""How long invoices take to become cash: cohorts, breakdowns, survival. Pure: a frame of `metrics.invoices` in, figures out.

Percentiles of paid invoices alone flatter young cohorts, whose slow payers have not paid yet: beside them stand the Kaplan-Meier
median and the share of the amount paid by day n, in which open invoices count as "not paid by now".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl

_DAYS = (pl.col("cleared_on") - pl.col("issue_date")).dt.total_days()
_PAID = pl.col("cleared_on").is_not_null()
_AMOUNT = pl.col("gross_reporting").cast(pl.Float64)
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95}


def _figures() -> list[pl.Expr]:
    quantiles = [_DAYS.filter(_PAID).quantile(share, interpolation="linear").round(6).alias(name) for name, share in QUANTILES.items()]
    weighted = (_DAYS * _AMOUNT).filter(_PAID).sum() / _AMOUNT.filter(_PAID & _AMOUNT.is_not_null()).sum()
    return [
        *quantiles,
        pl.len().cast(pl.Int64).alias("invoices"),
        _PAID.sum().cast(pl.Int64).alias("cleared"),
        pl.when(_PAID.any()).then(weighted.round(6)).alias("weighted_mean"),
        (_PAID.sum() / pl.len()).round(8).alias("settled_share"),
        (pl.col("cleared_on") > pl.col("due_date")).sum().cast(pl.Int64).alias("late"),
        pl.col("is_disputed").sum().cast(pl.Int64).alias("disputed"),
        pl.col("gross_reporting").sum().alias("gross_reporting"),
    ]


def cohorts(frame: pl.DataFrame, dimension: str | None = None) -> pl.DataFrame:
    """By week of issue (its Monday), and by `dimension` if one is given as column `group`: p50, p90, p95 in days over cleared invoices,
    invoices, cleared, weighted_mean, settled_share, late, disputed, gross_reporting. Sorted; credit notes are left out.
    """
    invoices = frame.filter(~pl.col("is_credit")).with_columns(pl.col("issue_date").dt.truncate("1w").alias("week"))
    if dimension is None:
        return invoices.group_by("week").agg(_figures()).sort("week")
    grouped = invoices.with_columns(pl.col(dimension).fill_null("unknown").alias("group"))
    return grouped.group_by("week", "group").agg(_figures()).sort("week", "group")


def breakdown(keyed: pl.DataFrame) -> pl.DataFrame:
    """By the column `key` (see `metrics.invoices.keyed`): the columns of `cohorts`, and the group's `name`."""
    name = pl.col("customer_name").drop_nulls().first().alias("name")
    return keyed.filter(~pl.col("is_credit")).group_by("key").agg(name, *_figures()).sort("key")


def survival(frame: pl.DataFrame, on: date) -> pl.DataFrame:
    """Day after issue, share_paid, share_amount_paid: Kaplan-Meier over all invoices issued by `on`, open ones censored at their age.

    `share_amount_paid` weighs invoices by their amount in the reporting currency.
    """
    invoices = frame.filter(~pl.col("is_credit") & (pl.col("issue_date") <= on))
    watched = invoices.select(
        pl.coalesce(_DAYS, (pl.lit(on) - pl.col("issue_date")).dt.total_days()).clip(lower_bound=0).alias("day"),
        _PAID.alias("paid"),
        _AMOUNT.fill_null(0.0).abs().alias("amount"),
    )
    by_day = watched.group_by("day").agg(
        pl.len().cast(pl.Float64).alias("left"),
        pl.col("paid").sum().cast(pl.Float64).alias("events"),
        pl.col("amount").sum().alias("left_amount"),
        pl.col("amount").filter("paid").sum().alias("paid_amount"),
    )
    return by_day.sort("day").select(
        pl.col("day").cast(pl.Int64),
        (1 - _surviving("events", "left")).round(8).alias("share_paid"),
        (1 - _surviving("paid_amount", "left_amount")).round(8).alias("share_amount_paid"),
    )


def _surviving(events: str, left: str) -> pl.Expr:
    """Of those still watched before each day, the share that went beyond it, multiplied up."""
    at_risk = pl.col(left).cum_sum(reverse=True)
    return pl.when(at_risk > 0).then(1 - pl.col(events) / at_risk).otherwise(1.0).clip(0.0, 1.0).cum_prod()


def median_day(curve: pl.DataFrame, column: str = "share_paid") -> int | None:
    """The first day by which half is paid, from `survival`; None while less than half is."""
    reached = curve.filter(pl.col(column) >= 0.5 - 1e-9)["day"]
    return None if reached.is_empty() else int(reached[0])


def merged(histograms: Iterable[Mapping[str, int]]) -> dict[int, int]:
    """Histograms of days (days -> invoices) added up: groups merge, their percentiles don't."""
    total: dict[int, int] = {}
    for histogram in histograms:
        for days, count in histogram.items():
            total[int(days)] = total.get(int(days), 0) + count
    return total


def quantile_of(histogram: Mapping[int, int], share: float) -> float | None:
    """The quantile of a histogram of whole days by linear interpolation; exact, as the buckets are single days. None if empty."""
    count = sum(histogram.values())
    if count == 0:
        return None
    place = share * (count - 1)
    low = int(place)
    lower, upper = _at(histogram, low), _at(histogram, min(low + 1, count - 1))
    return round(lower + (upper - lower) * (place - low), 6)


def _at(histogram: Mapping[int, int], rank: int) -> int:
    seen = 0
    for days in sorted(histogram):
        seen += histogram[days]
        if rank < seen:
            return days
    raise ValueError(f"rank {rank} lies beyond the histogram's {seen} values")
