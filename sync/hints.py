"""What webhooks have named and is still to be read again (`process.hint`). A hint is settled once a pull has looked at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from db.engine import Reading, Writing
from sync.connections import Connection
from sync.doors import Hint

KEYS_MAX = 2_000
"""Above so many records a read of everything that changed costs less than a read of each."""


@dataclass(frozen=True, slots=True)
class Open:
    """The open hints of a stream taken together: `ids` of the rows, the distinct keys, and whether everything is to be read."""

    ids: tuple[int, ...]
    keys: tuple[str, ...]
    whole: bool


def note(conn: Writing, connection: Connection, noted: Iterable[tuple[int, Iterable[Hint]]], *, now: datetime) -> set[str]:
    """Writes down what is to be read again, as (row of the inbox, its hints); returns the streams that are due because of it, paused ones
    left out.

    Hints without keys leave no row: the next pull finds what changed anyway. A stream that is not registered is passed over.
    """
    known = {
        str(row.stream): bool(row.is_paused)
        for row in conn.execute(sa.text("select stream, is_paused from process.stream where connection = :name"), {"name": connection.name})
    }
    due: set[str] = set()
    rows: list[dict[str, object]] = []
    for webhook_id, hints in noted:
        for hint in hints:
            for stream in known if hint.stream is None else known.keys() & {hint.stream}:
                due.add(stream)
                if hint.keys or hint.whole:
                    rows.append({"stream": stream, "keys": list(dict.fromkeys(hint.keys)), "whole": hint.whole, "webhook": webhook_id})
    if rows:
        fixed = {"connection": connection.name, "region": connection.region, "now": now}
        conn.execute(
            sa.text(
                "insert into process.hint (connection, stream, region, keys, whole, webhook_id, noted_at)"
                " values (:connection, :stream, :region, :keys, :whole, :webhook, :now)"
            ),
            [row | fixed for row in rows],
        )
    return {stream for stream in due if not known[stream]}


def open_hints(conn: Reading, connection: str, stream: str) -> Open:
    """Everything noted for the stream and not yet looked at."""
    rows = conn.execute(
        sa.text("select id, keys, whole from process.hint where connection = :connection and stream = :stream and settled_at is null"),
        {"connection": connection, "stream": stream},
    ).all()
    keys = dict.fromkeys(key for row in rows for key in row.keys)  # noqa: SIM118  (the column is called keys)
    return Open(tuple(row.id for row in rows), tuple(keys), any(row.whole for row in rows))


def settle(conn: Writing, ids: Sequence[int], *, now: datetime) -> None:
    """These hints have been looked at."""
    if ids:
        conn.execute(sa.text("update process.hint set settled_at = :now where id = any(:ids)"), {"ids": list(ids), "now": now})


def looked_at(conn: Writing, ids: Sequence[int], keys: Sequence[str], *, now: datetime) -> None:
    """These keys of the hints `ids` are done with; a hint of which no key is left is settled."""
    values = {"ids": list(ids), "keys": list(keys), "now": now}
    conn.execute(
        sa.text("update process.hint set settled_at = :now where id = any(:ids) and settled_at is null and keys <@ cast(:keys as text[])"),
        values,
    )
    conn.execute(
        sa.text(
            "update process.hint set keys = array(select key from unnest(keys) as key where key <> all(cast(:keys as text[])))"
            " where id = any(:ids) and settled_at is null and keys && cast(:keys as text[])"
        ),
        values,
    )


def give_up(conn: Writing, ids: Sequence[int], *, before: datetime, now: datetime) -> list[str]:
    """Settles those of the hints `ids` that are still open and were noted before `before`; returns the keys they named."""
    rows = conn.execute(
        sa.text(
            "update process.hint set settled_at = :now where id = any(:ids) and settled_at is null and noted_at < :before returning keys"
        ),
        {"ids": list(ids), "before": before, "now": now},
    ).all()
    return list(dict.fromkeys(key for row in rows for key in row[0]))
