"""The contracts as vectorised checks: which rows of a frame break their contract, where, and why.

The rules are read off the pydantic models, so that there is one statement of each. The models themselves run only over rows that
failed, to say why in words.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
import polars as pl
from pydantic import AwareDatetime, ValidationError
from pydantic.fields import FieldInfo

from db.money import AMOUNT, currencies, fits_currency
from sync.canonical.contracts import Contract

SHARE = pl.Decimal(18, 8)
MOMENT = pl.Datetime("us", "UTC")
VIOLATION_SCHEMA: dict[str, pl.DataType] = {
    "ordinal": pl.Int64(),
    "field": pl.String(),
    "cause": pl.String(),
    "message": pl.String(),
}
_EXPLAINED_ROWS = 2_000
"""Above this many failing rows the words are those of the vectorised check: one cause, ten thousand rows, one sentence."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One way for a row to break its contract: `broken` is true where it does."""

    field: str
    cause: str
    message: str
    broken: pl.Expr


def base_type(contract: type[Contract], field: str) -> tuple[type, bool, tuple[str, ...] | None]:
    """(Python type, may be null, allowed texts or None) of a contract's field."""
    annotation: Any = contract.model_fields[field].annotation
    optional = False
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [arm for arm in get_args(annotation) if arm is not type(None)]
        optional, annotation = len(inner) < len(get_args(annotation)), inner[0]
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return str, optional, tuple(get_args(annotation))
    return (datetime if annotation is AwareDatetime else annotation), optional, None


@cache
def frame_schema(contract: type[Contract]) -> Mapping[str, pl.DataType]:
    """The Polars type of every field of `contract`, in its order."""
    return {name: _dtype(contract, name) for name in contract.model_fields}


def _dtype(contract: type[Contract], field: str) -> pl.DataType:
    kind, _, _ = base_type(contract, field)
    if kind is Decimal:
        return AMOUNT if _is_money(contract, field) else SHARE
    plain: dict[type, pl.DataType] = {
        str: pl.String(),
        int: pl.Int64(),
        bool: pl.Boolean(),
        date: pl.Date(),
        datetime: MOMENT,
    }
    return plain[kind]


def _constraints(field: FieldInfo) -> list[Any]:
    """The constraints of a field, also those that hide in an optional's annotated arm."""
    found = list(field.metadata)
    annotation: Any = field.annotation
    arms = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    for arm in arms:
        if get_origin(arm) is Annotated:
            for extra in get_args(arm)[1:]:
                found += extra.metadata if isinstance(extra, FieldInfo) else [extra]
    return found


def _is_money(contract: type[Contract], field: str) -> bool:
    return any(getattr(item, "max_digits", None) == 19 for item in _constraints(contract.model_fields[field]))


@cache
def rules(contract: type[Contract]) -> tuple[Rule, ...]:
    """Every rule of `contract`, generated from its fields."""
    found: list[Rule] = []
    for name, field in contract.model_fields.items():
        found += _field_rules(contract, name, field)
    if contract.money is not None:
        amount, currency = contract.money
        found.append(
            Rule(currency, "bad_currency", "an amount stands without a currency", pl.col(amount).is_not_null() & pl.col(currency).is_null())
        )
    return tuple(found)


@cache
def _verdict(contract: type[Contract]) -> pl.Expr:
    """The place among `rules` of the first one that a row breaks; null where it breaks none."""
    found = [pl.when(rule.broken).then(pl.lit(index, dtype=pl.Int32)) for index, rule in enumerate(rules(contract))]
    return pl.coalesce(*found).alias("__rule")


def _field_rules(contract: type[Contract], name: str, field: FieldInfo) -> list[Rule]:
    kind, optional, allowed = base_type(contract, name)
    column = pl.col(name)
    found: list[Rule] = []
    if not optional:
        found.append(Rule(name, "missing_field", "the field is required and is empty", column.is_null()))
    if kind is str:
        found.append(Rule(name, "malformed_record", "the text holds a NUL character", column.str.contains("\x00", literal=True)))
    if allowed is not None:
        words = f"the value is none of: {', '.join(allowed)}"
        found.append(Rule(name, "bad_value", words, ~column.is_in(list(allowed))))
    for item in _constraints(field):
        if isinstance(item, at.MinLen) and item.min_length == 1:
            found.append(Rule(name, "missing_field", "the field is required and is empty", column == ""))
        if isinstance(item, at.Ge):
            found.append(Rule(name, "bad_value", f"the value is below {item.ge}", column < pl.lit(item.ge)))
        if isinstance(item, at.Le):
            found.append(Rule(name, "bad_value", f"the value is above {item.le}", column > pl.lit(item.le)))
    if name == "currency":
        known = list(currencies())
        found.append(Rule(name, "bad_currency", "the code is no ISO 4217 currency", ~column.is_in(known)))
    if kind is Decimal and _is_money(contract, name) and "currency" in contract.model_fields:
        code = pl.col("currency")
        unfit = ~fits_currency(column, code) & code.is_in(list(currencies()))
        found.append(Rule(name, "bad_currency", "the amount has more decimals than its currency", unfit))
    return found


def conform(frame: pl.DataFrame, contract: type[Contract]) -> pl.DataFrame:
    """`frame` with every column of `contract` in its type: a missing column is null, or the contract's default.

    Columns that the contract does not know are kept (`ordinal` and the like). Raises ValueError when a column of the frame has
    another type than the contract: that is a mistake of the mapping, not of the data.
    """
    columns: list[pl.Expr] = []
    given = frame.schema
    for name, dtype in frame_schema(contract).items():
        default = contract.model_fields[name].default
        if name not in given:
            value = default if isinstance(default, (bool, int, str)) else None
            columns.append(pl.lit(value, dtype=dtype).alias(name))
            continue
        have = given[name]
        if have != dtype:
            if not _same_kind(have, dtype):
                raise ValueError(f"{contract.entity}.{name} is {have} in the mapped frame, the contract says {dtype}")
            columns.append(pl.col(name).cast(dtype))
        if isinstance(default, bool):
            columns.append(pl.col(name).cast(dtype).fill_null(default))
    # A later expression of the same name replaces the earlier one.
    last = {expression.meta.output_name(): expression for expression in columns}
    return frame.with_columns(*last.values())


def _same_kind(have: pl.DataType, want: pl.DataType) -> bool:
    if have == pl.Null:
        return True
    if want.is_integer():
        return have.is_integer()
    return type(have) is type(want)


def violations(frame: pl.DataFrame, contract: type[Contract]) -> pl.DataFrame:
    """The first rule that each failing row of a conforming frame breaks: a frame of VIOLATION_SCHEMA, empty when all is well.

    `frame` carries `ordinal`, which names the row in the answer.
    """
    every = rules(contract)
    verdict = frame.select(_verdict(contract)).to_series()
    if verdict.null_count() == frame.height:
        return pl.DataFrame(schema=VIOLATION_SCHEMA)
    marked = frame.with_columns(verdict).filter(pl.col("__rule").is_not_null())
    broken = [every[index] for index in marked["__rule"].to_list()]
    words = [rule.message for rule in broken]
    if marked.height <= _EXPLAINED_ROWS:
        names = list(contract.model_fields)
        words = [_explain(contract, row, rule) for row, rule in zip(marked.select(names).iter_rows(named=True), broken, strict=True)]
    return pl.DataFrame(
        {
            "ordinal": marked["ordinal"],
            "field": [rule.field for rule in broken],
            "cause": [rule.cause for rule in broken],
            "message": words,
        },
        schema=VIOLATION_SCHEMA,
    )


def _explain(contract: type[Contract], row: dict[str, Any], rule: Rule) -> str:
    """Pydantic's own words for this row and field, or the rule's."""
    try:
        contract.model_validate(row)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False):
            if problem["loc"] and problem["loc"][0] == rule.field:
                return f"{rule.field}: {problem['msg']}"
    return f"{rule.field}: {rule.message}"
