"""What every record-serving system shares: fields over the world's records, broken records, and faults inside pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.faults import Dial
from sandbox.world.engine import World

Getter = Callable[[World, Any], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entity: its type in the system's own words and how it is read from the world's record."""

    name: str
    type: str
    get: Getter
    length: int = 0


@dataclass(frozen=True)
class Entity:
    """A kind of record a system serves. `breakable`: how a record can be broken -> the field that shows it.

    `stamp` is the moment that a late commit hides by; `customer` the field an unknown customer appears in.
    """

    name: str
    rows: Callable[[World], Iterable[Any]]
    key: Callable[[Any], str]
    stamp: Callable[[Any], datetime]
    fields: Mapping[str, Field]
    breakable: Mapping[str, str] = field(default_factory=dict)
    customer: str | None = None
    drift: str = ""
    restamp: Callable[[Any, datetime], None] | None = None


def fields(*all_fields: Field) -> dict[str, Field]:
    """Fields by name."""
    return {f.name: f for f in all_fields}


def visible(world: World, dial: Dial, system: str, entity: Entity) -> list[Any]:
    """An entity's records, without those that a late commit keeps back for now."""
    rows: Iterable[Any] = entity.rows(world)
    fault = dial.peek(system, "late_commit", entity.name)
    if fault is None:
        return list(rows)
    since = datetime.fromisoformat(fault.options.setdefault("since", world.now.isoformat()))
    return [row for row in rows if entity.stamp(row) <= since]


def disturb(
    dial: Dial,
    system: str,
    entity: Entity,
    page: list[dict[str, Any]],
    unknown: Any,
) -> list[dict[str, Any]]:
    """A page's rendered records after duplicates, disorder, unknown customers and schema drift have been at them."""
    if page and entity.customer in page[0] and dial.take(system, "unknown_customer", entity.name):
        page[0] = {**page[0], entity.customer: unknown}
    if page and (fault := dial.take(system, "schema_drift", entity.name)):
        name = str(fault.options.get("field") or entity.drift)
        page = [_drifted(record, fault.options.get("change", "add"), name) for record in page]
    if page and dial.take(system, "duplicate_records", entity.name):
        page = [page[0], *page]
    if page and dial.take(system, "out_of_order", entity.name):
        page = page[::-1]
    return page


def _drifted(record: dict[str, Any], change: str, name: str) -> dict[str, Any]:
    if change == "add":
        return {**record, "ZZ_Addition": "new"}
    if name not in record:
        return record
    if change == "remove":
        return {k: v for k, v in record.items() if k != name}
    old = record[name]
    return {**record, name: {"value": str(old)} if isinstance(old, str) or old is None else f"<{old}>"}
