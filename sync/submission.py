"""Files a command: audit entry, command, frozen set of items and queue job in the caller's one transaction.

Works under the pages' role: row-level security cuts what a filter selects to the regions of whoever asks.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.engine import Writing
from sync import audit, deferral, permissions
from sync.commands import NEEDS_REASON, AnyCommand, OverConnection, OverExceptions, RequestOrderChange, ResolveCase, to_payload
from sync.permissions import Forbidden


class Refused(Exception):
    """The command can't be filed; the message says why, fit for the person who sent it. Nothing was done."""


def submit(
    conn: Writing,
    command: AnyCommand,
    *,
    actor: str,
    roles: Collection[str],
    scope_regions: Collection[str] | None,
    idempotency_key: str,
    reason: str | None,
    now: datetime,
) -> int:
    """Files `command` and returns its id; the same key again returns the same id and does nothing.

    `scope_regions` None means all. `now`: business time, UTC. Raises Forbidden or Refused; the caller rolls back.
    """
    permissions.require(roles, command.kind)
    payload = to_payload(command)
    conn.execute(sa.text("select pg_advisory_xact_lock(hashtextextended(:key, 11))"), {"key": idempotency_key})
    before = _before(conn, idempotency_key, payload)
    if before is not None:
        return before
    if command.kind in NEEDS_REASON and not (reason or "").strip():
        raise Refused("say why: this action is kept with its reason")
    command_id = int(conn.execute(sa.text("select nextval(pg_get_serial_sequence('process.command', 'id'))")).scalar_one())
    regions, total = _subjects(conn, command, command_id, scope_regions)
    _check(conn, command, actor)
    conn.execute(
        sa.text(
            "insert into process.command (id, kind, idempotency_key, actor, reason, regions, payload, state, created_at, total)"
            " values (:id, :kind, :key, :actor, :reason, :regions, cast(:payload as jsonb), 'queued', :now, :total)"
        ),
        {
            "id": command_id,
            "kind": command.kind,
            "key": idempotency_key,
            "actor": actor,
            "reason": reason,
            "regions": "*" if scope_regions is None else ",".join(sorted(scope_regions)),
            "payload": json.dumps(payload),
            "now": now,
            "total": total,
        },
    )
    for chain in sorted(regions):
        audit.write(
            conn,
            chain=chain,
            at=now,
            actor=actor,
            action=command.kind,
            subject_kind="command",
            subject_key=str(command_id),
            reason=reason,
            detail={"payload": payload, "items": regions[chain]},
        )
    deferral.command(conn, command_id)
    return command_id


def _before(conn: Writing, key: str, payload: dict[str, Any]) -> int | None:
    row = conn.execute(sa.text("select id, payload from process.command where idempotency_key = :key"), {"key": key}).one_or_none()
    if row is None:
        return None
    if row.payload != json.loads(json.dumps(payload)):
        raise Refused("this form was sent before with other content: open it again")
    return int(row.id)


def _subjects(conn: Writing, command: AnyCommand, command_id: int, scope: Collection[str] | None) -> tuple[dict[str, int], int]:
    """The regions that the command concerns with how many items lie in each, and the total; raises when it leaves the scope."""
    if isinstance(command, OverExceptions):
        found = _freeze(conn, command, command_id, scope)
        if not found:
            raise Refused("nothing matches any more: look at the queue again")
        return found, sum(found.values())
    if isinstance(command, OverConnection):
        statement = "select region from process.stream where connection = :key limit 1"
        return _one(conn, statement, command.connection, scope, f"connection {command.connection}")
    if isinstance(command, ResolveCase):
        return _one(conn, 'select region from process."case" where id = :key', command.case_id, scope, f"case {command.case_id}")
    if isinstance(command, RequestOrderChange):
        statement = (
            "select region from canonical.sales_order where source = (cast(:key as text[]))[1]"
            " and (cast(:key as text[]))[2] in (source_key, number) order by source_key = (cast(:key as text[]))[2] desc limit 1"
        )
        return _one(conn, statement, [command.source, command.order], scope, f"order {command.order} of {command.source}")
    if command.kind == "edit_and_replay":
        single = OverExceptions(ids=(command.id,))  # type: ignore[union-attr]
        found = _freeze(conn, single, command_id, scope)
        if not found:
            raise Refused("this exception is not there, or not yours to see")
        return found, 1
    return ({"*": 1} if scope is None else dict.fromkeys(sorted(scope)[:1], 1)), 1


def _one(conn: Writing, statement: str, key: object, scope: Collection[str] | None, what: str) -> tuple[dict[str, int], int]:
    region = conn.execute(sa.text(statement), {"key": key}).scalar_one_or_none()
    if region is None and scope is None and "connection" in what:
        return {"*": 1}, 1
    if region is None or (scope is not None and region not in scope):
        raise Forbidden(f"{what} is not there, or not in your regions")
    return {str(region): 1}, 1


def _freeze(conn: Writing, command: OverExceptions, command_id: int, scope: Collection[str] | None) -> dict[str, int]:
    """The set as it is now, in one statement, whatever its size: what fails later is not in it, what is resolved later still is."""
    if command.filter is not None:
        where, bound = command.filter.where("e")
    else:
        where, bound = "e.id = any(:ids)", {"ids": list(command.ids)}
    if scope is not None:
        where += " and e.region = any(:scope)"
        bound["scope"] = list(scope)
    rows = conn.execute(
        sa.text(
            "with put as (insert into process.command_item (command_id, exception_id, position, region, state)"
            " select :command_id, e.id, row_number() over (order by e.money_at_risk_reporting desc nulls last, e.id), e.region, 'waiting'"
            f" from process.exception e where {where} returning region)"
            " select region, count(*) as items from put group by region"
        ),
        {**bound, "command_id": command_id},
    )
    return {row.region: row.items for row in rows}


def _check(conn: Writing, command: AnyCommand, actor: str) -> None:
    """What can be refused at once, in words, instead of failing later."""
    if isinstance(command, ResolveCase):
        row = conn.execute(sa.text('select state, opened_by from process."case" where id = :id'), {"id": command.case_id}).one_or_none()
        if row is not None and row.state != "open":
            raise Refused(f"this case is {row.state} already")
        if row is not None and row.opened_by == actor:
            raise Forbidden("whoever asked for it can't approve it")
