"""What a known sender's webhook says and nobody can read: told in one exception for its connection, and done with once all was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa

from db.engine import Database, Writing, reading
from sync import exceptions, landing
from sync.connections import ConfigError, Connection
from sync.errors import SourceError

STREAM = "webhooks"
"""Under which the bodies of webhooks are landed, and what is wrong with them is told."""
CAUSE = "event_unreadable"
SHOWN = 20


def refuse(conn: Writing, connection: Connection, why: str, *, now: datetime) -> None:
    """Tells that a known sender's body could not be kept, and `why`; nothing of it is in the database. `now` is business time, UTC."""
    words = f"{connection.name} sent a webhook that may not be kept: {why}"
    failure = exceptions.Failure(CAUSE, "stream", connection.name, connection.region, words, source_key=STREAM, stream=STREAM)
    exceptions.record_exception(conn, failure, now=now, reporting_currency="")  # no money is at risk: none is reported


def tell(conn: Writing, connection: Connection, faults: Sequence[str], *, page_id: int, now: datetime) -> None:
    """One exception for the connection, however often it happens; its raw record is the body. `now` is business time, UTC."""
    many = "an event" if len(faults) == 1 else f"{len(faults)} events at once"
    words = f"a webhook of {connection.name} told of {many} that can't be read: {faults[0]}; its streams were asked for what changed"
    failure = exceptions.Failure(
        CAUSE, "stream", connection.name, connection.region, words, source_key=STREAM, stream=STREAM,
        raw_record_id=landing.raw_record_id(page_id, 0), evidence={"page": page_id, "faults": faults[:SHOWN]},
    )  # fmt: skip
    exceptions.record_exception(conn, failure, now=now, reporting_currency="")


def ask_all(database: Database, connection: str, pull: Callable[[str, str], None]) -> str | None:
    """Reads every stream of `connection` that is not paused, by `pull(connection, stream)`: whatever the event was about is seen then.

    Returns None when it went well, else what did not, in words.
    """
    place = {"connection": connection}
    with reading(database.engine) as conn:
        named = "select stream from process.stream where connection = :connection and not is_paused order by stream"
        streams = list(conn.scalars(sa.text(named), place))
    try:
        for stream in streams:
            pull(connection, stream)
    except (ConfigError, SourceError, KeyError) as error:
        return str(error)
    with reading(database.engine) as conn:
        failing = "select stream from process.stream where connection = :connection and consecutive_failures > 0 order by stream limit 1"
        still = conn.scalar(sa.text(failing), place)
    return None if still is None else f"{still} of {connection} can't be read at the moment"
