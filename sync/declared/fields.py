"""The fields of the canonical entities as a declaration may fill them: their names, which are needed, and their types."""

from __future__ import annotations

import types
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import polars as pl
from pydantic import AwareDatetime

from sync.canonical.contracts import CONTRACTS, Contract

Kind = Literal["text", "amount", "integer", "flag", "date", "time"]

DTYPES: dict[Kind, Any] = {
    "text": pl.String(),
    "amount": pl.Decimal(19, 4),
    "integer": pl.Int64(),
    "flag": pl.Boolean(),
    "date": pl.Date(),
    "time": pl.Datetime("us", "UTC"),
}
"""Kind of a field -> its Polars type."""

_BY_TYPE: dict[Any, Kind] = {str: "text", Decimal: "amount", int: "integer", bool: "flag", date: "date", AwareDatetime: "time"}
_FROM_FILE = frozenset({"source_key", "source_version", "changed_at", "is_deleted", "region"})


def contract(entity: str) -> type[Contract]:
    """The contract of `entity`; ValueError when there is no such entity."""
    found = CONTRACTS.get(entity)
    if found is None:
        raise ValueError(f"no entity is called {entity!r}; known: {', '.join(CONTRACTS)}")
    return found


@cache
def own_fields(entity: str) -> frozenset[str]:
    """The fields that a declaration may fill: the entity's own and its legal entity."""
    return frozenset(contract(entity).model_fields) - _FROM_FILE


@cache
def required_fields(entity: str) -> frozenset[str]:
    """The fields without which no row of `entity` is valid."""
    fields = contract(entity).model_fields
    return frozenset(name for name in own_fields(entity) if fields[name].is_required())


@cache
def field_type(entity: str, field: str) -> Kind:
    """What kind of value `field` of `entity` holds."""
    return _kind(contract(entity).model_fields[field].annotation)


def _kind(annotation: Any) -> Kind:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind(get_args(annotation)[0])
    if origin is Literal:
        return "text"
    if origin in (Union, types.UnionType):
        return _kind(next(part for part in get_args(annotation) if part is not type(None)))
    return _BY_TYPE[annotation]
