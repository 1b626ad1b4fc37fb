"""How the entity sets of a host are defined: properties and where their values come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.records import Entity, Field, Getter
from sandbox.world.engine import World
from sandbox.world.reference import LEGAL_ENTITIES

UNKNOWN_CUSTOMER = "99999999"
BROKEN: dict[str, Any] = {
    "bad_amount": "1.234,5x", "bad_currency": "XXQ", "missing_key": "", "unknown_customer": UNKNOWN_CUSTOMER,
    "bad_date": "/Date(31022026)/x",
}  # fmt: skip


@dataclass(frozen=True)
class EntitySet:
    """An entity set of a service; `keys` in the order of the metadata, `items` what `$expand` can bring along."""

    service: str
    entity: Entity
    type: str
    keys: tuple[str, ...]
    items: Mapping[str, EntitySet]
    children: Callable[[World, Any], Iterable[Any]] | None = None
    etag: bool = False


def attribute(name: str) -> Getter:
    """Reads an attribute as it is."""
    return lambda _, row: getattr(row, name)


def constant(value: Any) -> Getter:
    """The same for every record."""
    return lambda _w, _r: value


def text(name: str, length: int, get: Getter | None = None, *, of: str = "") -> Field:
    """A string property; `of` names the attribute it is read from."""
    return Field(name, "Edm.String", get or attribute(of), length)


def day(name: str, get: Getter) -> Field:
    """A date property."""
    return Field(name, "Edm.DateTime", get)


def money(name: str, get: Getter) -> Field:
    """An amount property."""
    return Field(name, "Edm.Decimal", get)


def flag(name: str, get: Getter) -> Field:
    """A boolean property."""
    return Field(name, "Edm.Boolean", get)


def of_entity(name: str) -> Getter:
    """Reads an attribute of the record's legal entity."""
    return lambda _, row: getattr(LEGAL_ENTITIES[row.entity], name)


def stamped(attr: str = "changed_at") -> Callable[[Any], datetime]:
    """The stamp of a record."""
    return lambda row: getattr(row, attr)


def touch(*attrs: str) -> Callable[[Any, datetime], None]:
    """Sets stamps of a record."""

    def set_stamp(row: Any, now: datetime) -> None:
        for attr in attrs:
            setattr(row, attr, now)

    return set_stamp
