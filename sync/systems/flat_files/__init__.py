"""Flat files: a regional legacy ERP's delimited drop, declared wholly in configuration."""

from __future__ import annotations

from sync.connections import Connection, Landscape
from sync.ports import Target
from sync.systems.flat_files.client import FlatFiles


def make_source(connection: Connection, landscape: Landscape) -> FlatFiles:
    """The source of `connection`; ConfigError when its declaration is wrong."""
    return FlatFiles(connection, landscape)


def make_target(connection: Connection, landscape: Landscape) -> Target | None:
    """Nothing is written to a drop folder: None."""
    del connection, landscape
    return None
