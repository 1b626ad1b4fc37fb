"""The queue: procrastinate's own schema of version 3.10, and what the pages need to defer a job."""

from pathlib import Path

from db.migrations import sql_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make procrastinate's tables and functions in the schema `public`."""
    sql_file.run(Path(__file__).with_suffix(".sql"))
