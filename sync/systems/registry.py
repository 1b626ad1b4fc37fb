"""Every system there is: a new one is a new folder and a line here."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from sync.connections import ConfigError, Connection, Landscape
from sync.ports import Source, Target

SYSTEMS: dict[str, str] = {
    "salesforce": "sync.systems.salesforce",
    "sap_s4": "sync.systems.sap_s4",
    "kyriba": "sync.systems.kyriba",
    "bank_files": "sync.systems.bank_files",
    "flat_files": "sync.systems.flat_files",
}
"""Name in the connections file -> package with `make_source(connection, landscape)` and, where it writes, `make_target`."""


class System(Protocol):
    """What an adapter's package offers."""

    def make_source(self, connection: Connection, landscape: Landscape) -> Source: ...

    def make_target(self, connection: Connection, landscape: Landscape) -> Target | None: ...


def system(connection: Connection) -> System:
    """The adapter package of `connection`; ConfigError when no system has that name."""
    package = SYSTEMS.get(connection.system)
    if package is None:
        raise ConfigError(f"connection {connection.name}: no system is called {connection.system!r}; known: {', '.join(SYSTEMS)}")
    return cast(System, importlib.import_module(package))
