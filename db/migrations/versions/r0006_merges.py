"""Customers that became one: who was merged into whom."""

from pathlib import Path

from db.migrations import sql_file

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add `canonical.customer_merge` and its history."""
    sql_file.run(Path(__file__).with_suffix(".sql"))
