"""Runs a revision's SQL file as it is, in the revision's transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import op


def run(path: Path) -> None:
    """Send the statements of `path` in one go. They hold no parameters, so nothing in them is escaped."""
    op.get_bind().connection.driver_connection.execute(path.read_text(encoding="utf-8"))  # type: ignore[union-attr]
