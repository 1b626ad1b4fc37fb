"""Kyriba: bank accounts, balances, cash flows, transfers and statements; our forecasts into treasury."""

from __future__ import annotations

from sync.connections import Connection, Landscape
from sync.systems.kyriba.client import Session
from sync.systems.kyriba.settings import settings_of
from sync.systems.kyriba.source import KyribaSource
from sync.systems.kyriba.target import KyribaTarget


def make_source(connection: Connection, landscape: Landscape) -> KyribaSource:
    """The tenant of `connection` as a source; ConfigError when an option or a secret is missing. Nothing is called yet."""
    settings = settings_of(connection, landscape)
    return KyribaSource(connection, landscape, settings, Session(connection, settings))


def make_target(connection: Connection, landscape: Landscape) -> KyribaTarget:
    """The tenant of `connection` as a target for `publish_forecast`; ConfigError when an option or a secret is missing."""
    settings = settings_of(connection, landscape)
    return KyribaTarget(connection, settings, Session(connection, settings))
