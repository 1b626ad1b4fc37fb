"""Why cash was not as forecast, to the cent, and how much of that synchronisation delay did. Pure: frames in, frames out.

With f the forecast of an item expected on t_f, a what came of it on t_a, and W the window asked about:

    timing = f [t_a in W] - f [t_f in W]      amount = (a - f) [t_a in W], split into fx and rest
    unforecast = a of what nobody expected     missed = -(f of what never came) [t_f in W]

and their sum is actual less forecast, exactly. A part payment takes its part of the forecast; what is never paid is missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import polars as pl

from db.money import AMOUNT

Window = tuple[date, date]
CAUSES = ("timing", "fx", "rest", "unforecast", "missed")
_ZERO = Decimal(0)
_STEP = Decimal("0.0001")

ACTUALS: dict[str, pl.DataType] = {
    "source": pl.String(),
    "entity": pl.String(),
    "record_key": pl.String(),
    "item_key": pl.String(),
    "region": pl.String(),
    "legal_entity": pl.String(),
    "invoice_number": pl.String(),
    "party_id": pl.Int64(),
    "on_date": pl.Date(),
    "amount": AMOUNT,
    "currency": pl.String(),
    "amount_reporting": AMOUNT,
    "raw_record_id": pl.Int64(),
}

ITEMS: dict[str, pl.DataType] = {
    "source": pl.String(),
    "item_key": pl.String(),
    "record_key": pl.String(),
    "region": pl.String(),
    "legal_entity": pl.String(),
    "invoice_number": pl.String(),
    "party_id": pl.Int64(),
    "expected_date": pl.Date(),
    "actual_date": pl.Date(),
    "forecast": AMOUNT,
    "actual": AMOUNT,
    **dict.fromkeys(CAUSES, AMOUNT),
    "raw_record_id": pl.Int64(),
}


@dataclass(frozen=True, slots=True)
class Bridge:
    """From forecast to actual over a window, in the reporting currency: totals, the amount of every cause, the items behind (ITEMS)."""

    window: Window
    forecast: Decimal
    actual: Decimal
    causes: Mapping[str, Decimal]
    items: pl.DataFrame


def bridge(lines: pl.DataFrame, actuals: pl.DataFrame, window: Window) -> Bridge:
    """The variance of `actuals` (frame ACTUALS, from the cut-off on) against the forecast `lines` (forecast.LINES) over `window`.

    Amounts without a rate into the reporting currency are left out on both sides: ask `unrated` how many.
    """
    came = _grouped(_rated(actuals).sort("on_date", "record_key"))
    rows: list[dict[str, Any]] = []
    for line in _rated(lines).iter_rows(named=True):
        rows += _items_of(line, came.pop((line["source"], line["item_key"]), []), window)
    for unexpected in came.values():
        rows += [_unforecast(one) for one in unexpected if _within(one["on_date"], window)]
    items = pl.DataFrame(rows, schema=ITEMS).filter(pl.any_horizontal(pl.col(*CAUSES, "forecast", "actual") != 0))
    forecast = _total(lines.filter(pl.col("expected_date").is_between(*window))["amount_reporting"])
    actual = _total(actuals.filter(pl.col("on_date").is_between(*window))["amount_reporting"])
    return Bridge(window, forecast, actual, {cause: _total(items[cause]) for cause in CAUSES}, items)


def unrated(lines: pl.DataFrame, actuals: pl.DataFrame) -> int:
    """How many lines and actuals have no amount in the reporting currency for want of a rate."""
    return lines["amount_reporting"].null_count() + actuals["amount_reporting"].null_count()


def _rated(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("amount_reporting").is_not_null())


def _grouped(actuals: pl.DataFrame) -> dict[tuple[str, str], list[dict[str, Any]]]:
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in actuals.iter_rows(named=True):
        grouped.setdefault((one["source"], one["item_key"]), []).append(one)
    return grouped


def _items_of(line: Mapping[str, Any], came: Iterable[Mapping[str, Any]], window: Window) -> list[dict[str, Any]]:
    """One forecast line against what came of it: one item per part that came, and one for the part that did not."""
    expected_inside = _within(line["expected_date"], window)
    rest, rest_reporting = line["amount"], line["amount_reporting"]
    rows = []
    for one in came:
        part = _towards(rest, one["amount"])
        # The last part takes what is left, so that rounding never loses a cent of the line.
        part_reporting = rest_reporting if part == rest else _at_forecast_rate(part, line)
        rest, rest_reporting = rest - part, rest_reporting - part_reporting
        inside = _within(one["on_date"], window)
        at_forecast_rate = one["amount_reporting"] if one["currency"] != line["currency"] else _at_forecast_rate(one["amount"], line)
        if one["amount"] == part:
            at_forecast_rate = part_reporting
        row = _row(line, one, part_reporting)
        row["timing"] = (part_reporting if inside else _ZERO) - (part_reporting if expected_inside else _ZERO)
        row["fx"] = one["amount_reporting"] - at_forecast_rate if inside else _ZERO
        row["rest"] = at_forecast_rate - part_reporting if inside else _ZERO
        row["actual"] = one["amount_reporting"] if inside else _ZERO
        row["forecast"] = part_reporting if expected_inside else _ZERO
        rows.append(row)
    if rest_reporting and expected_inside:
        row = _row(line, None, rest_reporting)
        row["forecast"], row["missed"] = rest_reporting, -rest_reporting
        rows.append(row)
    return rows


def _towards(rest: Decimal, amount: Decimal) -> Decimal:
    """The part of an expected amount that `amount` fulfils: never more than is left of it, nothing if the signs differ."""
    if rest >= 0:
        return min(rest, max(amount, _ZERO))
    return max(rest, min(amount, _ZERO))


def _at_forecast_rate(amount: Decimal, line: Mapping[str, Any]) -> Decimal:
    if not line["amount"]:
        return _ZERO
    converted: Decimal = amount * line["amount_reporting"] / line["amount"]
    return converted.quantize(_STEP, ROUND_HALF_EVEN)


def _unforecast(one: Mapping[str, Any]) -> dict[str, Any]:
    row = _row(one, one, _ZERO)
    row["expected_date"] = None
    row["actual"] = row["unforecast"] = one["amount_reporting"]
    return row


def _row(line: Mapping[str, Any], one: Mapping[str, Any] | None, forecast: Decimal) -> dict[str, Any]:
    named = {name: line[name] for name in ("source", "item_key", "region", "legal_entity", "invoice_number", "party_id")}
    return {
        **named,
        "record_key": one["record_key"] if one else None,
        "expected_date": line.get("expected_date"),
        "actual_date": one["on_date"] if one else None,
        "forecast": forecast,
        "actual": _ZERO,
        **dict.fromkeys(CAUSES, _ZERO),
        "raw_record_id": one["raw_record_id"] if one else None,
    }


def _within(day: date, window: Window) -> bool:
    return window[0] <= day <= window[1]


def _total(amounts: pl.Series) -> Decimal:
    found = amounts.sum()
    return Decimal(found) if found is not None else _ZERO


PARTS = ("actuals not yet seen", "forecast made on stale inputs")
CONTRIBUTIONS: dict[str, pl.DataType] = {
    "part": pl.String(),
    "source": pl.String(),
    "item_key": pl.String(),
    "record_key": pl.String(),
    "invoice_number": pl.String(),
    "party_id": pl.Int64(),
    "amount": AMOUNT,
}


@dataclass(frozen=True, slots=True)
class SyncShare:
    """What synchronisation delay did to a variance: as known less without delay, and every late item's own part of it."""

    as_known: Decimal
    without_delay: Decimal
    contributions: pl.DataFrame

    @property
    def amount(self) -> Decimal:
        """The sync share: their difference, which is the sum of the contributions."""
        return self.as_known - self.without_delay


def sync_share(
    actuals_known: pl.DataFrame, actuals_source: pl.DataFrame, lines_known: pl.DataFrame, lines_source: pl.DataFrame, window: Window
) -> SyncShare:
    """[A(K(T)) - A(S(T))] + [F(S(C)) - F(K(C))] over `window`, item by item, exactly.

    `actuals_*` are frames ACTUALS under K(T) and S(T); `lines_*` frames forecast.LINES under K(C) and S(C), made with the same habits.
    """
    seen, real = (frame.filter(pl.col("on_date").is_between(*window)) for frame in (actuals_known, actuals_source))
    made, due = (frame.filter(pl.col("expected_date").is_between(*window)) for frame in (lines_known, lines_source))
    by_record = _difference(seen, real, ["source", "item_key", "record_key"], PARTS[0])
    by_item = _difference(due, made, ["source", "item_key"], PARTS[1])
    return SyncShare(
        as_known=_total(seen["amount_reporting"]) - _total(made["amount_reporting"]),
        without_delay=_total(real["amount_reporting"]) - _total(due["amount_reporting"]),
        contributions=pl.concat([by_record, by_item]).sort("part", "source", "item_key", "record_key"),
    )


def _difference(plus: pl.DataFrame, minus: pl.DataFrame, keys: list[str], part: str) -> pl.DataFrame:
    """Per key: the amounts of `plus` less those of `minus`, where they differ."""
    signed = [
        frame.select(
            *keys,
            "invoice_number",
            "party_id",
            (pl.col("amount_reporting").cast(pl.Decimal(38, 4)) * sign).cast(pl.Decimal(38, 4)).alias("amount"),
        )
        for frame, sign in ((plus, 1), (minus, -1))
    ]
    sums = (
        pl.concat(signed)
        .group_by(keys)
        .agg(pl.col("amount").sum().cast(AMOUNT), pl.col("invoice_number").drop_nulls().first(), pl.col("party_id").drop_nulls().first())
        .filter(pl.col("amount") != 0)
    )
    if "record_key" not in keys:
        sums = sums.with_columns(pl.lit(None, pl.String).alias("record_key"))
    return sums.with_columns(pl.lit(part).alias("part")).select(pl.col(name).cast(kind) for name, kind in CONTRIBUTIONS.items())


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How good forecasts were: None where there is nothing to divide by. `mape` only where no actual is 0."""

    wape: float | None
    bias: float | None
    mape: float | None
    pairs: int


def accuracy(pairs: pl.DataFrame) -> Accuracy:
    """Of pairs (forecast, actual): WAPE = sum|A-F| / sum|A|, bias = sum(F-A) / sum|A|, MAPE = mean(|A-F| / |A|)."""
    forecast, actual = pairs["forecast"].cast(pl.Float64), pairs["actual"].cast(pl.Float64)
    whole = float(actual.abs().sum())
    if pairs.is_empty() or whole == 0:
        return Accuracy(None, None, None, pairs.height)
    wrong = (actual - forecast).abs()
    mape = None if (actual == 0).any() else _mean(wrong / actual.abs())
    return Accuracy(round(float(wrong.sum()) / whole, 8), round(float((forecast - actual).sum()) / whole, 8), mape, pairs.height)


def _mean(values: pl.Series) -> float:
    return round(float(values.sum()) / len(values), 8)
