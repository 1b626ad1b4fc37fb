"""Intents in, receipts out: one transaction that holds audit entry, command and queue job, under the person's own scope."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from app.desk import DeskError, Intent, NotAllowed, Person, Receipt
from db.engine import Reading, Writing
from sync.commands import from_payload
from sync.permissions import Forbidden
from sync.submission import Refused, submit

WORDS = {"queued": "waiting for the worker", "running": "in progress", "done": "done", "failed": "stopped"}


def file(conn: Writing, intent: Intent, person: Person, *, now: datetime) -> int:
    """Files the intent and returns the command's id; the same key again is the same command. DeskError in words for the person."""
    payload = {name: value for name, value in intent.payload.items() if value is not None}
    if isinstance(payload.get("filter"), dict):
        payload["filter"] = {name: value for name, value in payload["filter"].items() if value not in (None, "")}
    try:
        command = from_payload({"kind": intent.kind, **payload})
    except msgspec.ValidationError as error:
        raise DeskError(f"This action is not complete: {error}") from error
    try:
        return submit(
            conn,
            command,
            actor=person.subject,
            roles=person.roles,
            scope_regions=person.regions,
            idempotency_key=intent.key,
            reason=intent.reason,
            now=now,
        )
    except Forbidden as error:
        raise NotAllowed(str(error)) from error
    except Refused as error:
        raise DeskError(str(error)) from error


def receipt(conn: Reading, command_id: int) -> Receipt:
    """What became of a command. DeskError when it is not the person's own."""
    row = conn.execute(sa.text("select * from process.command where id = :id"), {"id": command_id}).first()
    if row is None:
        raise DeskError(f"There is no command {command_id} of yours.")
    counts: dict[str, Any] = {
        line.state: line.n
        for line in conn.execute(
            sa.text("select state, count(*) as n from process.command_item where command_id = :id group by state"), {"id": command_id}
        )
    }
    outcome = {**(row.outcome or {}), **counts}
    words = str(outcome.get("words") or WORDS[row.state])
    return Receipt(row.id, row.kind, row.state, row.total, row.done, outcome, words)
