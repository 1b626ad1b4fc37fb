"""Salesforce: accounts, opportunities, quotes, contracts and (by option) orders; collections status back onto accounts."""

from __future__ import annotations

from sync.connections import Connection, Landscape
from sync.systems.salesforce.client import Session
from sync.systems.salesforce.door import SalesforceDoor, door_of
from sync.systems.salesforce.settings import settings_of
from sync.systems.salesforce.source import SalesforceSource
from sync.systems.salesforce.target import SalesforceTarget
from sync.systems.salesforce.wire import STREAMS


def make_source(connection: Connection, landscape: Landscape) -> SalesforceSource:
    """The org of `connection` as a source; ConfigError when an option or a secret is missing. Nothing is called yet."""
    settings = settings_of(connection, landscape)
    return SalesforceSource(connection, settings, Session(connection, settings))


def make_target(connection: Connection, landscape: Landscape) -> SalesforceTarget:
    """The org of `connection` as a target for `update_collections`; ConfigError when an option or a secret is missing."""
    settings = settings_of(connection, landscape)
    # what is read before a write belongs to it: the reserve of calls is kept for both
    return SalesforceTarget(connection, settings, Session(connection, settings, interactive=True))


def make_door(connection: Connection) -> SalesforceDoor:
    """Who may knock at the webhook of `connection`: the org's Outbound Messages, and its change events by way of a relay."""
    return door_of(connection, STREAMS)
