"""Writes the first two revisions' SQL from today's metadata: `python -m db.migrations.freeze`.

Only until the first release: from then on a change of the schema is a new revision, and this is history.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import sqlalchemy as sa
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.ddl import ExecutableDDLElement

from db.migrations import VERSIONS
from db.schema import metadata
from db.schema.security import PAGES_ROLE

SCHEMA_FILE = VERSIONS / "r0001_first_light.sql"
QUEUE_FILE = VERSIONS / "r0002_queue.sql"

_QUEUE_GRANTS = f"""
GRANT SELECT, INSERT ON procrastinate_jobs, procrastinate_events TO {PAGES_ROLE};
GRANT USAGE ON SEQUENCE procrastinate_jobs_id_seq, procrastinate_events_id_seq TO {PAGES_ROLE};
"""


def schema_sql() -> str:
    """The statements that make `db.schema.metadata`, with everything that is attached to it."""
    statements: list[str] = []
    # psycopg's own dialect would double every percent sign for parameters that these statements don't have.
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]

    def collect(statement: ExecutableDDLElement, *_args: Any, **_options: Any) -> None:
        statements.append(str(statement.compile(dialect=dialect)).strip())

    metadata.create_all(sa.create_mock_engine("postgresql+psycopg://", collect), checkfirst=False)
    return "".join(f"{statement.rstrip(';')};\n\n" for statement in _in_order(statements))


def _in_order(statements: list[str]) -> list[str]:
    """The same statements, each run of indexes sorted: SQLAlchemy keeps a table's indexes in a set."""
    ordered: list[str] = []
    for is_index, run in groupby(statements, lambda statement: statement.startswith(("CREATE INDEX", "CREATE UNIQUE"))):
        found = list(run)
        ordered += sorted(found) if is_index else found
    return ordered


def queue_sql() -> str:
    """Procrastinate's schema as its installed version has it, and the pages' rights on it."""
    return SchemaManager.get_schema().strip() + "\n" + _QUEUE_GRANTS


def stale() -> list[str]:
    """The names of the files that no longer say what the metadata says."""
    wanted = {SCHEMA_FILE: schema_sql(), QUEUE_FILE: queue_sql()}
    return [path.name for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def main() -> None:
    """Write both files."""
    SCHEMA_FILE.write_text(schema_sql(), encoding="utf-8")
    QUEUE_FILE.write_text(queue_sql(), encoding="utf-8")


if __name__ == "__main__":
    main()
