"""The European Central Bank's euro reference rates: the daily file, the last 90 days and the whole history."""

from __future__ import annotations

from sync.connections import Connection, Landscape
from sync.systems.ecb.settings import settings_of
from sync.systems.ecb.source import EcbSource


def make_source(connection: Connection, landscape: Landscape) -> EcbSource:  # noqa: ARG001
    """The rates of `connection`: from its address, or without one from the file that the program ships. Nothing is called yet."""
    return EcbSource(connection, settings_of(connection))


def make_target(connection: Connection, landscape: Landscape) -> None:  # noqa: ARG001
    """Nothing is ever written to the ECB."""
