"""Marks of touched measures are only added: no writer waits for another one's."""

from pathlib import Path

from db.migrations import sql_file

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let `measure.touched` hold a mark more than once."""
    sql_file.run(Path(__file__).with_suffix(".sql"))
