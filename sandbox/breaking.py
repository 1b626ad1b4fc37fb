"""Records that are served broken until they are fixed. Breaking and fixing re-stamp the record, so that readers see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.kyriba.objects import FLOWS
from sandbox.modern_treasury.api import LISTS
from sandbox.modern_treasury.api import SYSTEM as SECOND_TREASURY
from sandbox.records import Entity
from sandbox.s4.services import entity_of
from sandbox.salesforce.objects import OBJECTS
from sandbox.world.acts import Act
from sandbox.world.engine import World
from sandbox.world.operations import Refused
from sandbox.world.reference import S4_HOSTS

LEGACY = ("bad_amount", "bad_currency", "missing_key", "unknown_customer", "bad_date")


def _entity(system: str, name: str) -> Entity:
    found = {"salesforce": OBJECTS.get(name), "kyriba": FLOWS if name == FLOWS.name else None}.get(system)
    if system in S4_HOSTS:
        found = entity_of(system, name)
    if system == SECOND_TREASURY:
        found = LISTS.get(name)
    if found is None or not found.breakable:
        raise Refused("BAD_ACT", f"{system} has no breakable entity {name!r}")
    return found


def _numbers(row: Any) -> set[str]:
    if isinstance(row, dict):
        return {str(row["external_id"])} if row.get("external_id") else set()
    names = ("number", "erp_number", "document", "reference")
    return {str(getattr(row, n)) for n in names if getattr(row, n, None)}


def _stamp(world: World, system: str, name: str, key: str | None) -> str:
    """Re-stamps a record (by key, or by its business number; None: the newest) and returns its key."""
    if system == "legacy-latam" and name == "openitems":
        mine = [i for i in world.invoices.values() if i.host == system and key in (None, i.number)]
        if not mine:
            raise Refused("BAD_ACT", f"no legacy item {key}")
        mine[-1].item_changed = world.now
        mine[-1].version += 1
        world.legacy_touched.add(mine[-1].number)
        return mine[-1].number
    entity = _entity(system, name)
    if key is None:
        free = (r for r in entity.rows(world) if (system, name, entity.key(r)) not in world.broken)
        row = max(free, key=entity.stamp, default=None)
    else:
        row = next((r for r in entity.rows(world) if key == entity.key(r) or key in _numbers(r)), None)
    if row is None:
        raise Refused("BAD_ACT", f"{system} {name} has no record {key or 'to break'}")
    _touch(world, entity, row)
    return entity.key(row)


def _touch(world: World, entity: Entity, row: Any) -> None:
    if entity.restamp is not None:
        entity.restamp(row, world.now)
    else:
        world.touched[entity.key(row)] = world.now  # its life follows from the calendar: the stamp is kept beside it


def break_record(world: World, system: str, entity: str, how: str = "bad_amount", key: str | None = None) -> dict[str, Any]:
    """Breaks a record: the one named by key or number, or the newest."""
    ways: Iterable[str] = LEGACY if system == "legacy-latam" else _entity(system, entity).breakable
    if how not in ways:
        raise Refused("BAD_ACT", f"{entity} can be broken by {', '.join(ways)}, not by {how!r}")
    found = _stamp(world, system, entity, key)
    world.broken[(system, entity, found)] = how
    return {"system": system, "entity": entity, "key": found, "how": how}


def fix_record(world: World, system: str, entity: str, key: str) -> dict[str, Any]:
    """Fixes a broken record."""
    found = _stamp(world, system, entity, key)
    how = world.broken.pop((system, entity, found), None)
    return {"system": system, "entity": entity, "key": found, "was": how}


def break_many(
    world: World, n: int, system: str = "sap-emea", entity: str = "A_BillingDocument", how: str = "bad_currency"
) -> dict[str, Any]:
    """Breaks the newest `n` records of an entity in the same way."""
    kind = _entity(system, entity)
    if how not in kind.breakable:
        raise Refused("BAD_ACT", f"{entity} can be broken by {', '.join(kind.breakable)}, not by {how!r}")
    rows = sorted(kind.rows(world), key=kind.stamp)[-int(n) :]
    for row in rows:
        _touch(world, kind, row)
        world.broken[(system, entity, kind.key(row))] = how
    return {"system": system, "entity": entity, "how": how, "n": len(rows), "keys": [kind.key(r) for r in rows[:20]]}


def fix_all(world: World) -> dict[str, Any]:
    """Fixes every broken record."""
    fixed, by_entity = len(world.broken), dict[tuple[str, str], set[str]]()
    for system, entity, key in world.broken:
        by_entity.setdefault((system, entity), set()).add(key)
    for (system, name), keys in by_entity.items():
        if system == "legacy-latam":
            for key in keys:
                _stamp(world, system, name, key)
            continue
        kind = _entity(system, name)
        for row in kind.rows(world):
            if kind.key(row) in keys:
                _touch(world, kind, row)
    world.broken.clear()
    return {"fixed": fixed}


BREAKING: dict[str, Act] = {"break_record": break_record, "fix_record": fix_record, "break_many": break_many, "fix_all": fix_all}
