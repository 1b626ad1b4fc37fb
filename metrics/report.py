"""The answer of `tidegate metrics`: measures straight from the facts, exact, with or without rollups, now or at a past time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl

from db import money
from db.engine import Reading
from metrics import answers, receivables
from metrics.answers import Asked
from metrics.catalog import DEFAULT_SLUGS, Measure, measure
from metrics.frames import NOW, Bound, Where, end_of, known
from metrics.invoices import DIMENSIONS, invoices, keyed

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_SHARE = Decimal("0.0000000001")


def report(
    conn: Reading,
    *,
    slugs: Sequence[str] = DEFAULT_SLUGS,
    connection: str | None = None,
    by: str | None = None,
    as_of: date | datetime | None = None,
    now: datetime,
    reporting_currency: str,
    regions: frozenset[str] | None = None,
) -> dict[str, Any]:
    """`{"as_of", "measures": [{"slug", "value", "unit", "count", "why_missing", "by": [{"key", "value", "count"}]}]}`.

    `as_of` a date means the end of that business day: what was issued and cleared by then, as known then; a moment (aware) means
    as known at it. Values are exact Decimals or whole numbers; `unit` is days, count, share (0 to 1) or the reporting currency.
    `by` is one of country, region, legal_entity, customer, currency, week. Raises ValueError for an unknown slug or dimension.
    """
    chosen = [measure(slug) for slug in slugs]
    if by is not None and by not in DIMENSIONS:
        raise ValueError(f"there is no dimension {by!r}: choose one of {', '.join(DIMENSIONS)}")
    bound, on, shown = _moment(as_of, now)
    where = Where(connection, regions)
    frame = invoices(conn, reporting_currency=reporting_currency, on=None if as_of is None else on, bound=bound, where=where)
    groups = keyed(frame, by) if by is not None else None
    asked = Asked(conn, bound, where, on, now, reporting_currency)
    lines = [
        _basic_line(one, frame, groups, on, reporting_currency) if one.family == "basic" else _other_line(one, frame, groups, asked)
        for one in chosen
    ]
    return {"as_of": shown, "measures": lines}


def to_json(answer: dict[str, Any]) -> str:
    """A report as JSON text; amounts are numbers with exactly their own decimals, never passed through a float."""
    return _ENCODER.encode(answer).decode()


def _moment(as_of: date | datetime | None, now: datetime) -> tuple[Bound, date, str]:
    if as_of is None:
        return NOW, now.date(), now.isoformat()
    if isinstance(as_of, datetime):
        return known(as_of), as_of.date(), as_of.isoformat()
    return known(end_of(as_of)), as_of, as_of.isoformat()


def _basic_line(one: Measure, frame: pl.DataFrame, groups: pl.DataFrame | None, on: date, currency: str) -> dict[str, Any]:
    value, count = receivables.basic(frame, one.slug, on).row(0)
    lines = [] if groups is None else receivables.basic_by(groups, one.slug, on).rows()
    return {
        "slug": one.slug,
        "value": exact(value, one.unit, currency),
        "unit": currency if one.unit == "money" else one.unit,
        "count": count,
        "why_missing": receivables.BASICS[one.slug].missing if value is None else None,
        "by": [{"key": key, "value": exact(found, one.unit, currency), "count": rests_on} for key, found, rests_on in lines],
    }


def _other_line(one: Measure, frame: pl.DataFrame, groups: pl.DataFrame | None, asked: Asked) -> dict[str, Any]:
    parts = [] if groups is None else groups.partition_by("key", as_dict=True, include_key=False).items()
    found = answers.whole(one.slug, frame, asked)
    by = {str(key): answers.of_group(one.slug, part, asked) for (key,), part in parts}
    return {
        "slug": one.slug,
        "value": exact(found.value, one.unit, asked.reporting_currency),
        "unit": asked.reporting_currency if one.unit == "money" else one.unit,
        "count": found.count,
        "why_missing": found.missing,
        "by": [
            {"key": key, "value": exact(answer.value, one.unit, asked.reporting_currency), "count": answer.count}
            for key, answer in sorted(by.items())
            if answer is not None
        ],
    }


def exact(value: float | Decimal | None, unit: str, currency: str) -> Decimal | int | None:
    """`value` as it is reported: whole counts, money with its currency's decimals, shares and days without float noise."""
    if value is None:
        return None
    if unit == "count":
        return int(value)
    if unit == "money":
        amount = Decimal(value)
        step = Decimal(1).scaleb(-money.exponent(currency))
        # More decimals than the currency has appear only after conversion: they are shown, not dropped.
        return amount.quantize(step) if amount == amount.quantize(step) else amount
    rounded = Decimal(repr(value)).quantize(_SHARE).normalize()
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded
