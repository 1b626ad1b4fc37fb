"""Tryton 8: customers with their limits, sales, invoices and what settled them, payments, opportunities; our word on a customer's debts."""

from __future__ import annotations

from sync.connections import Connection, Landscape
from sync.systems.tryton.client import Session
from sync.systems.tryton.settings import settings_of
from sync.systems.tryton.source import TrytonSource
from sync.systems.tryton.target import TrytonTarget


def make_source(connection: Connection, landscape: Landscape) -> TrytonSource:
    """The database of `connection` as a source; ConfigError when an option or a secret is missing. Nothing is called yet."""
    settings = settings_of(connection, landscape)
    return TrytonSource(connection, settings, Session(connection, settings))


def make_target(connection: Connection, landscape: Landscape) -> TrytonTarget:
    """The database of `connection` as a target for `update_collections`; ConfigError when an option or a secret is missing."""
    settings = settings_of(connection, landscape)
    return TrytonTarget(connection, settings, Session(connection, settings))
