"""Reference rates become records like all others: with their source, their version and the bytes they came from."""

from pathlib import Path

from db.migrations import sql_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make `canonical.fx_rate` anew, with its history.

    The rates that stood in it came from the file that the program ships and name no bytes: the next refresh reads that file again.
    """
    sql_file.run(Path(__file__).with_suffix(".sql"))
