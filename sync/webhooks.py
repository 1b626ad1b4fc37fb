"""The inbox: a verified webhook is landed byte for byte, each of its events noted once, and what they name is read again now.

Nothing in its body is believed: it is a hint to read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from db.engine import Writing
from db.schema.process import webhook
from sync import hints, landing, queue
from sync.connections import ConfigError, Connection
from sync.doors import Door, Redacting, storable
from sync.ports import Page

STREAM = "webhooks"
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

    `now` is business time, UTC. Concurrent copies of one event wait for each other at the inbox's unique key: one effect. Raises
    ValueError when the body is none of this system's.
    """
    kept = door.kept(headers, body) if isinstance(door, Redacting) else body
    notices = {notice.event_id: notice for notice in map(storable, door.notices(headers, body))}
    fresh: dict[str, int] = {}
    for event_id in sorted(notices):
        inserted = conn.execute(
            insert(webhook)
            .values(connection=connection.name, event_id=event_id, region=connection.region, received_at=now, state="new")
            .on_conflict_do_nothing(index_elements=["connection", "event_id"])
            .returning(webhook.c.id)
        ).scalar_one_or_none()
        if inserted is not None:
            fresh[event_id] = inserted
    if fresh:
        page_id = _land(conn, connection, headers, kept, next(iter(fresh)), now)
        due: dict[str, None] = {}
        for event_id, row in fresh.items():
            due |= dict.fromkeys(hints.note(conn, connection, notices[event_id].hints, webhook_id=row, now=now))
        for stream in due:
            queue.defer_pull(conn, connection, stream, trigger="webhook")
        settled = sa.update(webhook).where(webhook.c.id.in_(fresh.values()))
        conn.execute(settled.values(page_id=page_id, state="processed", settled_at=now))
    return Accepted(tuple(notices), len(notices) - len(fresh))


def _land(conn: Writing, connection: Connection, headers: Mapping[str, str], body: bytes, name: str, now: datetime) -> int:
    page = Page(body=body, content_type=headers.get("content-type", ""), cursor=None, name=name)
    arrival = landing.Arrival(page=page, kind="webhook", sequence=0, records=None)
    landed = landing.land(conn, [arrival], connection=connection.name, stream=STREAM, region=connection.region, run_id=None, now=now)
    return landed[0].page_id
