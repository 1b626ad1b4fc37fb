"""What each chart says, in a sentence with its figures, for whoever hears the page and does not see it. The table below has all of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from app.desk import Hop
from app.widgets import words

_MOST = 3
_HOUR = 3_600


def positions(frame: pl.DataFrame, *, by: str, currency: str) -> str:
    """The largest positions by `by`."""
    data = frame.group_by(by).agg(pl.col("amount_reporting").sum()).sort("amount_reporting", by, descending=[True, False])
    named = [f"{name or 'none'} {words.compact(value, currency)}" for name, value in data.iter_rows()]
    return _listed(f"Bars of the cash position by {by.replace('_', ' ')}", named)


def fan(frame: pl.DataFrame, *, currency: str) -> str:
    """Where the forecast starts and ends, and its lowest p10 against the minimum."""
    data = frame.sort("week")
    if data.is_empty():
        return "Forecast of the cash position: no weeks"
    first, last = data.row(0, named=True), data.row(-1, named=True)
    lowest = data.filter(pl.col("p10") == pl.col("p10").min()).row(0, named=True) if data["p10"].count() else None
    parts = [f"p50 goes from {_money(first['p50'], currency)} in the week of {first['week']} to {_money(last['p50'], currency)} in the week of {last['week']}"]  # fmt: skip
    if lowest is not None:
        floor = f", the minimum is {_money(lowest['minimum'], currency)}" if lowest["minimum"] is not None else ""
        parts.append(f"p10 is lowest in the week of {lowest['week']} with {_money(lowest['p10'], currency)}{floor}")
    return f"Forecast of the cash position: {'; '.join(parts)}"


def bridge(frame: pl.DataFrame, *, currency: str) -> str:
    """Every step with its amount."""
    steps = [f"{step} {words.compact(amount, currency)}" for step, amount in frame.select("step", "amount").iter_rows()]
    return f"Bridge from forecast to actual: {', '.join(steps)}"


def latency(frame: pl.DataFrame, *, view: str) -> str:
    """The newest week's percentiles of all invoices; `view` all, or which percentile is compared."""
    data = frame.filter(pl.col("group") == "all").sort("week")
    what = "Percentiles" if view == "all" else f"{view} by group"
    head = f"{what} of days from issue to payment by week of issue"
    if data.is_empty():
        return head
    row = data.row(-1, named=True)
    told = ", ".join(f"{name} {row[name]:.1f}" for name in ("p50", "p90", "p95") if row[name] is not None)
    return f"{head}; in the week of {row['week']}, all invoices: {told or 'none is paid yet'}"


def aging(frame: pl.DataFrame, *, currency: str) -> str:
    """Every bucket with its amount."""
    buckets = [f"{bucket} {words.compact(amount, currency)}" for bucket, amount in frame.select("bucket", "amount").iter_rows()]
    return f"Open receivables by days past due: {', '.join(buckets)}"


def survival(frame: pl.DataFrame) -> str:
    """By which day half of the invoices are paid."""
    days = frame.filter(pl.col("share_paid") >= 0.5)["day"].to_list()
    told = f"half of the invoices are paid by day {min(days)}" if days else "less than half is paid"
    return f"Share paid by day after issue; {told}"


def utilisation(frame: pl.DataFrame) -> str:
    """How many stand over their limit, and the fullest."""
    data = frame.drop_nulls("utilisation").sort("utilisation", descending=True)
    over = data.filter(pl.col("utilisation") > 1).height
    named = [f"{name} {share * 100:.0f} %" for name, share in data.select("name", "utilisation").iter_rows()]
    return _listed(f"Exposure against credit limit by customer; {over} over the limit; fullest", named)


def clocks(hops: Sequence[Hop]) -> str:
    """The hops that took longest."""
    spent = [(sum(part or 0 for part in (hop.business_seconds, hop.integration_seconds, hop.human_seconds)), hop.name) for hop in hops]
    named = [f"{name} {seconds / _HOUR:,.1f} h" for seconds, name in sorted(spent, key=lambda one: -one[0])]
    return _listed("Hours by hop in three clocks, longest first", named)


def _money(value: Decimal | None, currency: str) -> str:
    return "not known" if value is None else words.compact(value, currency)


def _listed(head: str, named: Sequence[str]) -> str:
    more = f", and {len(named) - _MOST} more" if len(named) > _MOST else ""
    return f"{head}: {', '.join(named[:_MOST]) or 'nothing'}{more}"
