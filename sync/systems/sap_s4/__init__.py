"""SAP S/4HANA by OData V2 and V4: customers, orders, deliveries, bills, accounting items, journal lines, credit accounts; changes of orders."""

from __future__ import annotations

from sync.connections import Connection, Landscape
from sync.systems.sap_s4.client import Session
from sync.systems.sap_s4.door import EventDoor
from sync.systems.sap_s4.settings import settings_of
from sync.systems.sap_s4.source import S4Source
from sync.systems.sap_s4.target import S4Target


def make_source(connection: Connection, landscape: Landscape) -> S4Source:
    """The host of `connection` as a source; ConfigError when an option or a secret is missing. Nothing is called yet."""
    settings = settings_of(connection, landscape)
    return S4Source(connection, settings, Session(connection, settings))


def make_target(connection: Connection, landscape: Landscape) -> S4Target:
    """The host of `connection` as a target for changes of sales orders; ConfigError when an option or a secret is missing."""
    settings = settings_of(connection, landscape)
    return S4Target(connection, settings, Session(connection, settings))


def make_door(connection: Connection) -> EventDoor:
    """The webhook of `connection`: CloudEvents, as Event Mesh delivers them."""
    return EventDoor.of(connection)
