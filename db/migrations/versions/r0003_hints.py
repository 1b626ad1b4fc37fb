"""Webhooks that name records: what to read again; a stream that waits for a system to prepare what was asked for."""

from pathlib import Path

from db.migrations import sql_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add `process.hint` and `process.stream.preparing`."""
    sql_file.run(Path(__file__).with_suffix(".sql"))
