"""Any application with a JSON API that no adapter was written for: declared in configuration, read without code."""

from __future__ import annotations

from sync.connections import Connection, Landscape
from sync.systems.rest.source import RestSource


def make_source(connection: Connection, landscape: Landscape) -> RestSource:
    """The application of `connection` as a source; ConfigError says what is wrong in its declaration. Nothing is called yet."""
    return RestSource(connection, landscape)


def make_target(connection: Connection, landscape: Landscape) -> None:
    """A declared source is only read."""
    del connection, landscape
