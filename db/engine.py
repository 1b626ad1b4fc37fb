"""Where a transaction begins and commits: `reading()` and `writing()`, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NewType, Self, cast

import psycopg
import sqlalchemy as sa
from psycopg import sql

from db import embedded
from db.settings import Settings

Reading = NewType("Reading", sa.Connection)
"""A connection inside a transaction that may read."""

Writing = NewType("Writing", Reading)
"""A connection inside a transaction that may also write; it serves wherever a Reading does."""

PAGES_ROLE = "tidegate_pages"
_STATEMENT_SECONDS = 300
_LOCK_SECONDS = 30
_IDLE_SECONDS = 120
# The server said so, or the connection went away: the commit may or may not have happened.
_UNKNOWN_CLASSES = ("08", "57P")


class CommitUnknown(RuntimeError):
    """The connection was lost while committing: read by key whether the work is there before doing it again."""


class DatabaseUnreachable(RuntimeError):
    """The database named by DATABASE_URL can't be opened; the message says which and why."""


@dataclass(frozen=True)
class Scope:
    """For whom a page or the API reads or writes: the database itself then hides what they may not see.

    `regions` None means all regions; an empty set means none. `actor` is the signed-in person, for the audit.
    """

    regions: frozenset[str] | None
    actor: str


def create(url: str, *, pool_size: int = 10, application: str = "tidegate") -> sa.Engine:
    """An engine over `url` whose every connection speaks UTC and gives up on stuck statements.

    A connection has no region bound until `reading` or `writing` is given a Scope.
    """
    engine = sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        connect_args={"application_name": application, "connect_timeout": 10, "prepare_threshold": 5},
    )
    sa.event.listen(engine, "connect", _prepare_connection)
    return engine


def _prepare_connection(connection: psycopg.Connection[Any], _record: object) -> None:
    """Session defaults in one round trip; the owner's unscoped transactions see every region."""
    connection.execute(
        "SET timezone = 'UTC'; SET tidegate.regions = '*'; SET tidegate.actor = 'tidegate';"
        f"SET statement_timeout = '{_STATEMENT_SECONDS}s'; SET lock_timeout = '{_LOCK_SECONDS}s';"
        f"SET idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'; SET client_min_messages = 'warning'"
    )
    connection.commit()


@contextmanager
def writing(engine: sa.Engine, scope: Scope | None = None) -> Iterator[Writing]:
    """One READ COMMITTED transaction: committed when the block ends, rolled back when it raises.

    With a `scope` it runs as the pages' role, bound to the scope's regions. Raises CommitUnknown when the
    connection is lost during the commit; every other database error means that nothing was written.
    """
    with engine.connect() as connection, connection.begin() as transaction:
        if scope is not None:
            _bind(connection, scope)
        yield Writing(Reading(connection))
        try:
            transaction.commit()
        except sa.exc.DBAPIError as error:
            if _outcome_unknown(error):
                raise CommitUnknown(f"the connection was lost during COMMIT: {error.orig}") from error
            raise


@contextmanager
def reading(engine: sa.Engine, scope: Scope | None = None) -> Iterator[Reading]:
    """One READ ONLY transaction over one snapshot of the database (REPEATABLE READ).

    With a `scope` it runs as the pages' role and sees the scope's regions only.
    """
    with engine.connect() as pooled:
        connection = pooled.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin() as transaction:
            if scope is not None:
                _bind(connection, scope)
            yield Reading(connection)
            transaction.rollback()


def driver(connection: Reading) -> psycopg.Connection[tuple[Any, ...]]:
    """The psycopg connection of the running transaction, for COPY and for enlisting queue jobs."""
    return cast("psycopg.Connection[tuple[Any, ...]]", connection.connection.driver_connection)


def _bind(connection: sa.Connection, scope: Scope) -> None:
    """Become the pages' role for this transaction only: COMMIT and ROLLBACK both undo it."""
    regions = "*" if scope.regions is None else ",".join(sorted(scope.regions))
    statement = sql.SQL(
        "SET LOCAL ROLE {}; SELECT set_config('tidegate.regions', {}, true), set_config('tidegate.actor', {}, true)"
    ).format(sql.Identifier(PAGES_ROLE), sql.Literal(regions), sql.Literal(scope.actor))
    driver(Reading(connection)).execute(statement)


def _outcome_unknown(error: sa.exc.DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state.startswith(_UNKNOWN_CLASSES)


@dataclass
class Database:
    """An open, migrated database. `close()` also leaves the embedded server, if that is what it is."""

    engine: sa.Engine
    url: str = field(repr=False)
    server: embedded.Server | None

    def close(self) -> None:
        """Close all connections and, as the embedded server's last user, stop it."""
        self.engine.dispose()
        if self.server is not None:
            self.server.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_database(settings: Settings, *, application: str = "tidegate", pool_size: int = 10) -> Database:
    """Open the database of `settings` (the embedded one when no URL is set), migrated to the newest revision.

    Raises DatabaseUnreachable, embedded.EmbeddedFailed or migrations.MigrationFailed.
    """
    from db import migrations

    server = None if settings.database_url else embedded.acquire(settings.home)
    url = server.url if server else str(settings.database_url)
    engine = create(url, pool_size=pool_size, application=application)
    try:
        try:
            migrations.upgrade(engine)
        except sa.exc.OperationalError as error:
            where = sa.make_url(url).render_as_string(hide_password=True)
            raise DatabaseUnreachable(f"can't open {where}: {error.orig}") from error
    except BaseException:
        Database(engine, url, server).close()
        raise
    return Database(engine, url, server)
