"""Migrations: the database of any earlier version becomes today's, in one transaction, once."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

FOLDER = Path(__file__).parent
VERSIONS = FOLDER / "versions"
_LOCK = "tidegate.migrations"
_WAIT_SECONDS_MAX = 240


class MigrationFailed(RuntimeError):
    """The database can't be brought to this program's version; the message says why and what to do."""


def config() -> Config:
    """Alembic's configuration; there is no ini file."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def head() -> str:
    """The newest revision that this program knows."""
    newest = ScriptDirectory.from_config(config()).get_current_head()
    if newest is None:
        raise MigrationFailed(f"no revision in {VERSIONS}: the installation is incomplete")
    return newest


def current(conn: sa.Connection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    # Read from the catalogue, which takes a lock and so learns of another's commit: to_regclass may answer from this backend's memory.
    table = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = 'public' AND tablename = 'alembic_version'"
    if conn.execute(sa.text(table)).scalar() is None:
        return None
    found: str | None = conn.execute(sa.text("SELECT version_num FROM public.alembic_version")).scalar()
    return found


def upgrade(engine: sa.Engine) -> bool:
    """Bring the database to `head()`; True if anything was done. Racing starters migrate once.

    Raises MigrationFailed when the database is newer than the program, or a right is missing.
    """
    with engine.connect() as conn:
        if current(conn) == head():
            return False
    with engine.begin() as conn:
        conn.execute(sa.text(f"SET LOCAL lock_timeout = '{_WAIT_SECONDS_MAX}s'"))
        conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": _LOCK})
        if current(conn) == head():
            return False
        conn.execute(sa.text("SET LOCAL lock_timeout = '30s'"))
        made = config()
        made.attributes["connection"] = conn
        try:
            command.upgrade(made, "head")
        except CommandError as error:
            raise MigrationFailed(
                f"the database is at revision {current(conn)}, which this program doesn't know: "
                "it was made by a newer version of Tidegate; run that one"
            ) from error
        except sa.exc.ProgrammingError as error:
            raise MigrationFailed(f"the database refused the migration: {error.orig}") from error
    return True
