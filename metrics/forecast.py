"""The cash forecast: each receipt placed by its payer's own habit, and what became of it. Pure: frames in, frames out.

Habits are days past due, by payer; a thin history is shrunk towards the payer's region, a thin region towards everybody. They are
published with each forecast, so that the same facts give the same forecast for ever.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from db.money import AMOUNT

WEEKS = 13
SHRINK_AT = 10
"""With this many paid invoices a payer's own habit weighs as much as its region's."""

EVERYBODY = "*"
_AFTER_HABIT = 7
"""Days from the cut-off at which a receipt is expected that is already later than its payer's habit."""

HABITS: dict[str, pl.DataType] = {"payer": pl.String(), "paid": pl.Int64(), "early": pl.Int64(), "usual": pl.Int64(), "late": pl.Int64()}

LINES: dict[str, pl.DataType] = {
    "source": pl.String(),
    "item_key": pl.String(),
    "region": pl.String(),
    "legal_entity": pl.String(),
    "category": pl.String(),
    "party_id": pl.Int64(),
    "invoice_number": pl.String(),
    "expected_date": pl.Date(),
    "early_date": pl.Date(),
    "late_date": pl.Date(),
    "amount": AMOUNT,
    "currency": pl.String(),
    "amount_reporting": AMOUNT,
    "confidence": pl.String(),
}

_SHARES = {"early": 0.1, "usual": 0.5, "late": 0.9}


def habits(paid: pl.DataFrame) -> pl.DataFrame:
    """Days past due at which each payer pays (frame HABITS: p10, p50, p90 rounded), from `paid` (payer, region, days_past_due).

    Lines `region:<name>` and `*` stand for payers without any history.
    """
    days = pl.col("days_past_due").cast(pl.Float64)
    marks = [days.quantile(share, interpolation="linear").alias(name) for name, share in _SHARES.items()]
    everybody = paid.select(pl.lit(EVERYBODY).alias("payer"), pl.len().cast(pl.Int64).alias("paid"), *marks)
    if paid.is_empty():
        everybody = everybody.with_columns(pl.col(*_SHARES).fill_null(0.0))
    regions = paid.group_by("region").agg(pl.len().cast(pl.Int64).alias("paid"), *marks)
    regions = _shrunk(regions.join(everybody.drop("payer", "paid"), how="cross", suffix="_wide"))
    own = paid.group_by("payer").agg(pl.col("region").first(), pl.len().cast(pl.Int64).alias("paid"), *marks)
    own = _shrunk(own.join(regions.drop("paid"), on="region", suffix="_wide"))
    named = regions.with_columns(("region:" + pl.col("region")).alias("payer"))
    lines = [frame.select("payer", "paid", *(pl.col(name).round().cast(pl.Int64) for name in _SHARES)) for frame in (own, named, everybody)]
    return pl.concat(lines).sort("payer")


def _shrunk(frame: pl.DataFrame) -> pl.DataFrame:
    weight = pl.col("paid") / (pl.col("paid") + SHRINK_AT)
    mixed = frame.with_columns((weight * pl.col(name) + (1 - weight) * pl.col(f"{name}_wide")).alias(name) for name in _SHARES)
    return mixed.drop(f"{name}_wide" for name in _SHARES)


def expect(receipts: pl.DataFrame, planned: pl.DataFrame, habit: pl.DataFrame, cut_off: date) -> pl.DataFrame:
    """The forecast made at the end of business day `cut_off`: frame LINES, by source and item.

    `receipts`: source, item_key, region, legal_entity, category, party_id, payer, invoice_number, due_date, amount, currency, rate.
    `planned`: treasury's items and approved payments; an item that names an invoice (invoice_source, invoice_key) says when and how
    much of it comes, instead of the payer's habit; one that names an invoice no longer open is not expected any more. `rate` turns
    an amount into the reporting currency (null: no rate, and no reporting amount). Nothing is expected on or before the cut-off.
    """
    ours, theirs = _overridden(receipts, planned, cut_off)
    everybody = habit.filter(pl.col("payer") == EVERYBODY).select(*(pl.col(name).alias(f"{name}_all") for name in _SHARES))
    regional = habit.select(pl.col("payer").alias("fallback"), *(pl.col(name).alias(f"{name}_region") for name in _SHARES))
    placed = (
        ours.with_columns(("region:" + pl.col("region")).alias("fallback"))
        .join(habit.drop("paid"), on="payer", how="left", maintain_order="left")
        .join(regional, on="fallback", how="left", maintain_order="left")
        .join(everybody, how="cross")
    )
    days = {name: pl.coalesce(name, f"{name}_region", f"{name}_all") for name in _SHARES}
    due = pl.col("due_date")
    placed = placed.with_columns(
        _not_before(due + pl.duration(days=days["usual"]), cut_off, _AFTER_HABIT).alias("expected_date"),
        _not_before(due + pl.duration(days=days["early"]), cut_off, 1).alias("early_date"),
        _not_before(due + pl.duration(days=days["late"]), cut_off, 3 * _AFTER_HABIT).alias("late_date"),
        pl.lit("estimated").alias("confidence"),
    ).with_columns(
        pl.min_horizontal("early_date", "expected_date").alias("early_date"),
        pl.max_horizontal("late_date", "expected_date").alias("late_date"),
    )
    both = pl.concat([_as_lines(placed), _as_lines(theirs)])
    return both.sort("source", "item_key")


def _overridden(receipts: pl.DataFrame, planned: pl.DataFrame, cut_off: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Our receipts that treasury says nothing about, and all planned lines; one about an invoice keeps the invoice's own identity."""
    tomorrow = pl.max_horizontal("expected_date", pl.lit(cut_off + timedelta(days=1)))
    dated = planned.with_columns(tomorrow.alias("expected_date"), tomorrow.alias("early_date"), tomorrow.alias("late_date"))
    said = ["expected_date", "early_date", "late_date", "amount", "currency", "confidence", "rate"]
    about = (
        dated.filter(pl.col("invoice_key").is_not_null())
        .sort("expected_date", "item_key")
        .unique(["invoice_source", "invoice_key"], keep="last", maintain_order=True)
        .select(pl.col("invoice_source").alias("source"), pl.col("invoice_key").alias("item_key"), *said)
    )
    identity = ["source", "item_key", "region", "legal_entity", "category", "party_id", "invoice_number"]
    firm = receipts.select(identity).join(about, on=["source", "item_key"])
    own = dated.filter(pl.col("invoice_key").is_null()).with_columns(
        pl.lit(None, pl.Int64).alias("party_id"), pl.lit(None, pl.String).alias("invoice_number")
    )
    lines = pl.concat([firm.select(*identity, *said), own.select(*identity, *said)])
    return receipts.join(about, on=["source", "item_key"], how="anti"), lines


def _not_before(day: pl.Expr, cut_off: date, otherwise_in: int) -> pl.Expr:
    return pl.when(day > cut_off).then(day).otherwise(pl.lit(cut_off + timedelta(days=otherwise_in)))


def _as_lines(frame: pl.DataFrame) -> pl.DataFrame:
    reporting = in_reporting(pl.col("amount"), pl.col("rate")).alias("amount_reporting")
    return frame.with_columns(reporting).select(pl.col(name).cast(kind) for name, kind in LINES.items())


def in_reporting(amount: pl.Expr, rate: pl.Expr) -> pl.Expr:
    """`amount` times `rate`, rounded to four decimals; exact enough at 1: an amount in the reporting currency is itself."""
    product = (amount.cast(pl.Decimal(38, 4)) * rate.cast(pl.Decimal(18, 8))).round(4).cast(AMOUNT)
    return pl.when(rate == 1).then(amount.cast(AMOUNT)).otherwise(product)


def expected_within(lines: pl.DataFrame, window: tuple[date, date]) -> pl.DataFrame:
    """The lines of a forecast expected in `window` (both days included)."""
    return lines.filter(pl.col("expected_date").is_between(*window))


def fan(lines: pl.DataFrame, position: Decimal, cut_off: date, *, weeks: int = WEEKS) -> pl.DataFrame:
    """The running position at the end of each of the next weeks: week (its first day), p10, p50, p90, inflow, outflow.

    p50 as expected; p90 if every payer pays early by its habit; p10 if late. Reporting currency; lines without a rate are left out.
    """
    ends = [cut_off + timedelta(days=7 * (n + 1)) for n in range(weeks)]
    rows = []
    for number, end in enumerate(ends):
        sums = {
            name: _until(lines, column, end) for name, column in (("p10", "late_date"), ("p50", "expected_date"), ("p90", "early_date"))
        }
        inside = expected_within(lines, (end - timedelta(days=6), end))["amount_reporting"]
        low, high = sorted((sums["p10"], sums["p90"]))
        rows.append(
            {
                "week": cut_off + timedelta(days=7 * number + 1),
                "p10": position + min(low, sums["p50"]),
                "p50": position + sums["p50"],
                "p90": position + max(high, sums["p50"]),
                "inflow": _sum(inside.filter(inside > 0)),
                "outflow": _sum(inside.filter(inside < 0)),
            }
        )
    kinds: dict[str, pl.DataType] = {"week": pl.Date(), **dict.fromkeys(("p10", "p50", "p90", "inflow", "outflow"), AMOUNT)}
    return pl.DataFrame(rows, schema=kinds)


def _until(lines: pl.DataFrame, column: str, end: date) -> Decimal:
    return _sum(lines.filter(pl.col(column) <= end)["amount_reporting"])


def _sum(amounts: pl.Series) -> Decimal:
    found = amounts.sum()
    return Decimal(found) if found is not None else Decimal(0)
