"""The inbox: a verified webhook is landed byte for byte, each of its events noted once, and what they name is read again now.

Nothing in its body is believed: it is a hint to read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from db.engine import Writing
from sync import hints, landing, queue
from sync.connections import ConfigError, Connection
from sync.doors import Door, Notice, Redacting, storable, unreadable
from sync.ports import Page
from sync.unreadable_events import STREAM, tell

MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a webhook: the ids of its events, and how many of them were here before and did nothing more."""

    event_ids: tuple[str, ...]
    duplicates: int


def live_secrets(connection: Connection) -> list[str]:
    """The connection's live webhook secrets: `webhook_secret` and, while one is rotated, `webhook_secret_previous`; [] when none is set."""
    found = []
    for name in ("webhook_secret", "webhook_secret_previous"):
        try:
            found.append(connection.secret(name).get_secret_value())
        except ConfigError:
            continue
    return found


def accept(conn: Writing, connection: Connection, door: Door, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Accepted:
    """Notes each event of a verified webhook once per event id, lands the bytes and defers the pulls, in the caller's transaction.

    `now` is business time, UTC. Concurrent copies of one event wait for each other at the inbox's unique key: one effect. What can't be read
    is kept all the same, told in one exception, and has everything asked for that changed. Raises ValueError when the body may not be kept.
    """
    kept = door.kept(headers, body) if isinstance(door, Redacting) else body
    notices = _distinct(door, headers, body, kept)
    fresh = _note(conn, connection, notices, now)
    if fresh:
        page_id = _land(conn, connection, headers, kept, next(iter(fresh)), now)
        noted = [(row, notices[event_id].hints) for event_id, row in fresh.items()]
        # In the order of their names, so that two that ask for the same streams don't wait for each other.
        for stream in sorted(hints.note(conn, connection, noted, now=now)):
            queue.defer_pull(conn, connection, stream, trigger="webhook")
        faults = [notices[event_id].fault or "" for event_id in fresh if notices[event_id].fault is not None]
        if faults:
            tell(conn, connection, faults, page_id=page_id, now=now)
        _settle(conn, [fresh[event_id] for event_id in fresh if notices[event_id].fault is None], "processed", page_id, now)
        _settle(conn, [fresh[event_id] for event_id in fresh if notices[event_id].fault is not None], "quarantined", page_id, now)
    return Accepted(tuple(notices), len(notices) - len(fresh))


def _distinct(door: Door, headers: Mapping[str, str], body: bytes, kept: bytes) -> dict[str, Notice]:
    """The notices by their ids, in the order in which they were sent; what stands under one id twice is one event with the hints of both."""
    try:
        told = door.notices(headers, body)
    except ValueError as error:
        told = [unreadable(kept, str(error))]
    found: dict[str, Notice] = {}
    for notice in map(storable, told):
        before = found.get(notice.event_id)
        merged = notice if before is None else replace(before, hints=(*before.hints, *notice.hints), fault=before.fault or notice.fault)
        found[notice.event_id] = merged
    return found


def _note(conn: Writing, connection: Connection, notices: Mapping[str, Notice], now: datetime) -> dict[str, int]:
    """The inbox's rows of those that were not here before, by event id; written in the order of the ids, as everybody does."""
    rows = conn.execute(
        sa.text(
            "insert into process.webhook (connection, event_id, region, received_at, state)"
            " select :connection, told.id, :region, :now, 'new' from unnest(cast(:ids as text[])) as told(id)"
            " on conflict (connection, event_id) do nothing returning id, event_id"
        ),
        {"connection": connection.name, "region": connection.region, "now": now, "ids": sorted(notices)},
    )
    known = {str(row.event_id): int(row.id) for row in rows}
    return {event_id: known[event_id] for event_id in notices if event_id in known}


def _settle(conn: Writing, rows: list[int], state: str, page_id: int, now: datetime) -> None:
    conn.execute(
        sa.text("update process.webhook set page_id = :page, state = :state, settled_at = :now where id = any(:rows)"),
        {"page": page_id, "state": state, "now": now, "rows": rows},
    )


def _land(conn: Writing, connection: Connection, headers: Mapping[str, str], body: bytes, name: str, now: datetime) -> int:
    page = Page(body=body, content_type=headers.get("content-type", ""), cursor=None, name=name)
    arrival = landing.Arrival(page=page, kind="webhook", sequence=0, records=None)
    landed = landing.land(conn, [arrival], connection=connection.name, stream=STREAM, region=connection.region, run_id=None, now=now)
    return landed[0].page_id
