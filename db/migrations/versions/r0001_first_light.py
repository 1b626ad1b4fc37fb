"""The first schema: raw, canonical, process, measure, governance, the pages' role and what the database enforces."""

from pathlib import Path

from db.migrations import sql_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make everything in `db.schema` as it was on that day."""
    sql_file.run(Path(__file__).with_suffix(".sql"))
