"""Conditions and rules of a declaration as expressions over the typed columns. Pure."""

from __future__ import annotations

import polars as pl

from sync.declared.declaration import Condition, Rule, Scalar
from sync.declared.fields import DTYPES, Kind


def condition(one: Condition) -> pl.Expr:
    """One condition as a boolean expression over the typed columns."""
    column = pl.col(one.column)
    text = column.cast(pl.String)
    accepted = [_text(item) for item in (one.values or (() if one.value is None else (one.value,)))]
    return {
        "present": column.is_not_null(),
        "absent": column.is_null(),
        "equals": text.is_in(accepted),
        "in": text.is_in(accepted),
        "differs": column.is_null() | ~text.is_in(accepted),
        "equals_column": column == pl.col(one.other or one.column),
        "nonzero": column != 0,
        "positive": column > 0,
        "negative": column < 0,
    }[one.test]


def value(rule: Rule, kind: Kind) -> pl.Expr:
    """A field's value as an expression of the field's own type."""
    dtype = DTYPES[kind]
    if rule.cases is not None:
        found = _constant(rule.default, kind)
        for case in reversed(rule.cases):
            holds = pl.all_horizontal([condition(one) for one in case.when])
            found = pl.when(holds).then(_constant(case.value, kind)).otherwise(found)
        return found
    if rule.column is not None and rule.values is not None:
        mapped = {key: _scalar(item, kind) for key, item in rule.values.items()}
        text = pl.col(rule.column).cast(pl.String)
        return text.replace_strict(mapped, default=_scalar(rule.default, kind), return_dtype=dtype)
    if rule.join is not None:
        return pl.concat_str([pl.col(column).cast(pl.String) for column in rule.join], separator=rule.separator, ignore_nulls=True)
    if rule.value is not None:
        return _constant(rule.value, kind)
    if rule.after is not None:
        days = pl.coalesce([pl.when(pl.col(column) != 0).then(pl.col(column)) for column in rule.after.days])
        # A term of more than a hundred years is none: the sum would leave the calendar.
        return pl.col(rule.after.day) + pl.duration(days=pl.when(days.abs() < 36_500).then(days))
    if rule.sum is not None:
        found = pl.sum_horizontal([pl.col(column).cast(dtype) for column in rule.sum])
    else:
        found = pl.coalesce([pl.col(column).cast(dtype) for column in (rule.first or (rule.column or "",))])
    found = -found if rule.negate else found
    return found if rule.default is None else found.fill_null(_constant(rule.default, kind))


def _text(item: Scalar) -> str:
    return str(item).lower() if isinstance(item, bool) else str(item)


def _scalar(item: Scalar | None, kind: Kind) -> Scalar | None:
    return _text(item) if kind == "text" and item is not None else item


def _constant(item: Scalar | None, kind: Kind) -> pl.Expr:
    if item is None:
        return pl.lit(None, dtype=DTYPES[kind])
    if kind in ("date", "time", "amount"):
        text = pl.lit(_text(item))
        return text.cast(DTYPES[kind]) if kind == "amount" else text.str.to_date().cast(DTYPES[kind])
    return pl.lit(_scalar(item, kind), dtype=DTYPES[kind])
