"""Every system there is: a new one is a new folder and a line here."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol, cast

from sync.connections import ConfigError, Connection, Landscape, Role
from sync.doors import Door, SignedDoor
from sync.ports import Source, Target


@dataclass(frozen=True, slots=True)
class Kind:
    """A system: the package that speaks to it, its proper name, the part it plays in the company, and the effects that it takes."""

    package: str
    name: str
    role: Role
    takes: tuple[str, ...] = ()


SYSTEMS: dict[str, Kind] = {
    "salesforce": Kind("sync.systems.salesforce", "Salesforce", "crm", ("update_collections",)),
    "sap_s4": Kind("sync.systems.sap_s4", "SAP S/4HANA", "erp", ("release_order", "block_order", "approve_order", "reject_order")),
    "kyriba": Kind("sync.systems.kyriba", "Kyriba", "treasury", ("publish_forecast",)),
    "bank_files": Kind("sync.systems.bank_files", "Bank files", "bank"),
    "tryton": Kind("sync.systems.tryton", "Tryton", "erp", ("update_collections",)),
    "rest": Kind("sync.systems.rest", "JSON API", "other"),
    "flat_files": Kind("sync.systems.flat_files", "Legacy drop", "erp"),
    "modern_treasury": Kind("sync.systems.modern_treasury", "Modern Treasury", "treasury", ("publish_forecast",)),
    "ecb": Kind("sync.systems.ecb", "ECB reference rates", "rates"),
}
"""Name in the connections file -> its package, with `make_source(connection, landscape)` and, where it writes, `make_target`;
where its webhooks are not signed our way, `make_door(connection)`.
"""


class System(Protocol):
    """What an adapter's package offers."""

    def make_source(self, connection: Connection, landscape: Landscape) -> Source: ...

    def make_target(self, connection: Connection, landscape: Landscape) -> Target | None: ...


def _kind(connection: Connection) -> Kind:
    kind = SYSTEMS.get(connection.system)
    if kind is None:
        raise ConfigError(f"connection {connection.name}: no system is called {connection.system!r}; known: {', '.join(SYSTEMS)}")
    return kind


def system(connection: Connection) -> System:
    """The adapter package of `connection`; ConfigError when no system has that name."""
    return cast(System, importlib.import_module(_kind(connection).package))


def door(connection: Connection) -> Door:
    """Who may knock at this connection's webhook and what they say: the system's own door, else the one that its options declare."""
    package = importlib.import_module(_kind(connection).package)
    make = getattr(package, "make_door", None)
    made: Door | None = make(connection) if make is not None else None
    return made or SignedDoor.of(connection)


def role(connection: Connection) -> Role:
    """The part that `connection` plays in the company: its own word, else its system's."""
    return connection.role or (SYSTEMS[connection.system].role if connection.system in SYSTEMS else "other")


def name(connection: Connection) -> str:
    """The proper name of the connection's system, as people write it."""
    return SYSTEMS[connection.system].name if connection.system in SYSTEMS else connection.system


def names_of(landscape: Landscape, *roles: Role) -> list[str]:
    """The connections that play one of `roles`."""
    return [each.name for each in landscape.connections if role(each) in roles]


def takes(connection: Connection) -> tuple[str, ...]:
    """The kinds of effect that `connection` carries out: what its option `takes` names, else all that its system can."""
    named = connection.options.get("takes")
    if named is not None:
        return tuple(named)
    return SYSTEMS[connection.system].takes if connection.system in SYSTEMS else ()
