"""Modern Treasury: bank accounts, balances, transactions, expected payments and payment orders; our forecasts as expected payments."""

from __future__ import annotations

from sync.connections import Connection, Landscape
from sync.systems.modern_treasury.client import Session
from sync.systems.modern_treasury.door import ModernTreasuryDoor
from sync.systems.modern_treasury.settings import settings_of
from sync.systems.modern_treasury.source import ModernTreasurySource
from sync.systems.modern_treasury.target import ModernTreasuryTarget


def make_source(connection: Connection, landscape: Landscape) -> ModernTreasurySource:
    """The organisation of `connection` as a source; ConfigError when an option or a secret is missing. Nothing is called yet."""
    settings = settings_of(connection, landscape)
    return ModernTreasurySource(connection, settings, Session(connection, settings))


def make_target(connection: Connection, landscape: Landscape) -> ModernTreasuryTarget:
    """The organisation of `connection` as a target for `publish_forecast`; ConfigError when an option or a secret is missing."""
    settings = settings_of(connection, landscape)
    return ModernTreasuryTarget(connection, settings, Session(connection, settings))


def make_door(connection: Connection) -> ModernTreasuryDoor:  # noqa: ARG001
    """Who may knock at the connection's webhook: whoever signs as Modern Treasury does."""
    return ModernTreasuryDoor()
