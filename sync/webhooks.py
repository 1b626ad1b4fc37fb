"""The inbox: a verified webhook is landed byte for byte, noted once, and makes the next pull of its connection happen now.

Nothing in its body is believed: it is a hint to read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from db.engine import Writing
from db.schema.process import webhook
from sync import landing, queue
from sync.connections import ConfigError, Connection
from sync.ports import Page
from sync.signatures import Scheme
from sync.strict_json import loads

STREAM = "webhooks"
MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a webhook. `duplicate`: this event id was here before and nothing more was done."""

    event_id: str
    duplicate: bool


def scheme_of(connection: Connection) -> Scheme:
    """The scheme that the connection's option `webhook` declares, or ours."""
    declared: Mapping[str, Any] = connection.options.get("webhook", {})
    return Scheme(**declared)


def live_secrets(connection: Connection) -> list[str]:
    """The connection's live webhook secrets: `webhook_secret` and, while one is rotated, `webhook_secret_previous`; [] when none is set."""
    found = []
    for name in ("webhook_secret", "webhook_secret_previous"):
        try:
            found.append(connection.secret(name).get_secret_value())
        except ConfigError:
            continue
    return found


def event_id(scheme: Scheme, headers: Mapping[str, str], body: bytes) -> str:
    """The sender's own id of the event (header, or CloudEvents `source` and `id`), else the digest of the body."""
    if scheme.event_id_header and (given := headers.get(scheme.event_id_header.lower())):
        return given[:200]
    try:
        document = loads(body)
    except ValueError:
        document = None
    if isinstance(document, Mapping) and document.get("id") and document.get("specversion"):
        return f"{document.get('source', '')}|{document['id']}"[:400]
    return "sha256:" + hashlib.sha256(body).hexdigest()


def accept(conn: Writing, connection: Connection, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Accepted:
    """Notes a verified webhook once per event id, lands its bytes and defers the pull, in the caller's transaction.

    `now` is business time, UTC. Concurrent copies of one event wait for each other at the inbox's unique key: one effect.
    """
    found = event_id(scheme_of(connection), headers, body)
    inserted = conn.execute(
        insert(webhook)
        .values(connection=connection.name, event_id=found, region=connection.region, received_at=now, state="new")
        .on_conflict_do_nothing(index_elements=["connection", "event_id"])
        .returning(webhook.c.id)
    ).scalar_one_or_none()
    if inserted is None:
        return Accepted(found, duplicate=True)
    page = Page(body=body, content_type=headers.get("content-type", ""), cursor=None, name=found)
    arrival = landing.Arrival(page=page, kind="webhook", sequence=0, records=None)
    landed = landing.land(conn, [arrival], connection=connection.name, stream=STREAM, region=connection.region, run_id=None, now=now)
    queue.defer_hint(conn, connection)
    conn.execute(sa.update(webhook).where(webhook.c.id == inserted).values(page_id=landed[0].page_id, state="processed", settled_at=now))
    return Accepted(found, duplicate=False)
