"""The permanent ledger of every write to another system: planned -> sent -> confirmed | unknown | failed.

A row's key is unique for ever and rows are never deleted: whoever plans the same effect again plans nothing. `next_attempt_at` is
wall time by the database's clock; the other moments are business time, for people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from db.engine import Reading, Writing
from sync.connections import Landscape
from sync.policy import takers
from sync.ports import Order
from sync.rules.facts import Effect

PREFIXES = {
    "release_order": "release", "publish_forecast": "forecast", "update_collections": "collections",
    "block_order": "block", "approve_order": "approve", "reject_order": "reject",
}  # fmt: skip
APPROVED_ONLY = frozenset({"block_order", "approve_order", "reject_order"})
"""Kinds that no rule may ask for: a person asks, another one approves."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An effect about to enter the ledger. Either a rule asked for it within policy, or a person approved its case."""

    effect_key: str
    kind: str
    connection: str
    region: str
    object_key: str
    payload: Mapping[str, Any]
    decision_id: int
    requested_by: str
    case_id: int | None = None
    approved_by: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An effect as the ledger holds it."""

    id: int
    effect_key: str
    kind: str
    connection: str
    region: str
    object_key: str
    payload: Mapping[str, Any]
    state: str
    attempts: int
    decision_id: int | None
    error: str | None
    error_kind: str | None

    def order(self) -> Order:
        """The entry as its target takes it; the key travels as the idempotency key and as the reference."""
        payload = {**self.payload, "reference": self.effect_key}
        return Order(self.effect_key, self.kind, self.object_key, payload, attempt=max(self.attempts, 1))


def key(kind: str, connection: str, subject: str, version: str) -> str:
    """The permanent key: `release:{connection}:{order}:{episode}`, `forecast:...:{subject}:{version}`, `collections:...`."""
    return f"{PREFIXES[kind]}:{connection}:{subject}:{version}"


def planned(effects: Sequence[Effect], landscape: Landscape, region: str, asked: Mapping[str, Any]) -> list[Plan]:
    """One plan per effect and connection that takes it; `asked` holds decision_id, requested_by and, for a case, its approval.

    An effect that no connection takes is left out: a landscape without a treasury system publishes no forecast.
    """
    return [
        Plan(
            effect_key=key(effect.kind, connection, effect.subject, effect.version),
            kind=effect.kind,
            connection=connection,
            region=region,
            object_key=effect.object_key,
            payload=effect.payload,
            **asked,
        )
        for effect in effects
        for connection in takers(landscape, effect.kind, source=effect.source, region=region)
    ]


_PLAN = """
insert into process.effect (effect_key, kind, connection, region, object_key, payload, state, decision_id, case_id, requested_by,
  approved_by, planned_at)
values (:effect_key, :kind, :connection, :region, :object_key, cast(:payload as jsonb), 'planned', :decision_id, :case_id, :requested_by,
  :approved_by, :now)
on conflict (effect_key) do update set state = 'planned', decision_id = excluded.decision_id, case_id = excluded.case_id,
  requested_by = excluded.requested_by, approved_by = excluded.approved_by, payload = excluded.payload, planned_at = excluded.planned_at,
  error = null, error_kind = null, next_attempt_at = null
where process.effect.state = 'failed' and process.effect.error_kind = 'conflict'
"""


def plan(conn: Writing, plans: Sequence[Plan], *, now: datetime) -> set[str]:
    """Enters the plans; one whose key the ledger knows changes nothing, unless the world had moved on under it (conflict).

    Returns the connections that have something to deliver. Raises ValueError for a kind that needs an approval and has none.
    """
    for entry in plans:
        if entry.kind in APPROVED_ONLY and (entry.case_id is None or entry.approved_by is None):
            raise ValueError(f"{entry.effect_key}: {entry.kind} is never automatic: it needs an approved case")
    if plans:
        rows = [
            {
                **{name: getattr(entry, name) for name in Plan.__slots__ if name != "payload"},
                "payload": json.dumps(dict(entry.payload)),
                "now": now,
            }
            for entry in plans
        ]
        conn.execute(sa.text(_PLAN), rows)
    return {entry.connection for entry in plans}


# In turn: nothing overtakes an earlier write on the same object. What is 'sent' was sent by a worker that died, or is being sent
# now; `alone` tells the two apart.
_TURN = """
select e.* from process.effect e
where e.connection = :connection and e.state in ('planned', 'sent', 'unknown')
  and (e.next_attempt_at is null or e.next_attempt_at <= clock_timestamp())
  and not exists (
    select from process.effect f where f.connection = e.connection and f.object_key = e.object_key and f.kind = e.kind
      and f.id < e.id and f.state in ('planned', 'sent', 'unknown'))
  and e.id > :after
order by e.id limit :limit
"""


def due(conn: Reading, connection: str, *, after: int = 0, limit: int = 50) -> list[Entry]:
    """The effects of `connection` whose turn it is and whose time has come, oldest first."""
    rows = conn.execute(sa.text(_TURN), {"connection": connection, "after": after, "limit": limit}).mappings()
    return [_entry(row) for row in rows]


def get(conn: Reading, effect_id: int) -> Entry | None:
    """The effect with this id, or None."""
    row = conn.execute(sa.text("select * from process.effect where id = :id"), {"id": effect_id}).mappings().one_or_none()
    return None if row is None else _entry(row)


def connections_due(conn: Reading) -> list[str]:
    """The connections that have an effect whose time has come: what a sweep defers delivery for."""
    rows = conn.execute(
        sa.text(
            "select distinct connection from process.effect where state in ('planned', 'sent', 'unknown')"
            " and (next_attempt_at is null or next_attempt_at <= clock_timestamp()) order by connection"
        )
    )
    return [row.connection for row in rows]


def alone(conn: Reading, effect_id: int) -> bool:
    """Whether nobody else alive works on this effect; held until the transaction of `conn` ends.

    A sender holds it as long as it lives: when its process dies, so does its connection, and the next one may look at once.
    """
    statement = sa.text("select pg_try_advisory_xact_lock(hashtextextended('tidegate.effect', :id))")
    return bool(conn.execute(statement, {"id": effect_id}).scalar_one())


def claim(conn: Writing, effect_id: int, *, now: datetime) -> Entry | None:
    """Planned -> sent, attempt counted; None when somebody else has it or it is not planned any more."""
    row = (
        conn.execute(
            sa.text(
                "update process.effect set state = 'sent', sent_at = :now, attempts = attempts + 1, next_attempt_at = null"
                " where id = (select id from process.effect where id = :id and state = 'planned' for update skip locked) returning *"
            ),
            {"id": effect_id, "now": now},
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else _entry(row)


def confirm(conn: Writing, effect_id: int, receipt: Mapping[str, Any], *, now: datetime) -> None:
    """The target has it; `receipt` is its word."""
    _settle(conn, effect_id, "confirmed", now=now, receipt=receipt)


def fail(conn: Writing, effect_id: int, error: str, kind: str, *, now: datetime) -> None:
    """The target refuses it, or the world moved on (`kind` conflict | superseded): it is not tried again by itself."""
    _settle(conn, effect_id, "failed", now=now, error=error, kind=kind)


def doubt(conn: Writing, effect_id: int, error: str, *, wait: timedelta) -> None:
    """It left and no answer came: the target is read, after `wait`, before anything else."""
    _postpone(conn, effect_id, "unknown", error, "unknown", wait=wait)


def again(conn: Writing, effect_id: int, error: str | None, kind: str | None, *, wait: timedelta) -> None:
    """It surely did not happen: planned again, not before `wait` has passed."""
    _postpone(conn, effect_id, "planned", error, kind, wait=wait)


def retry(conn: Writing, effect_ids: Sequence[int]) -> int:
    """A person wants these tried again now: failed ones are planned, unknown ones read at once. Confirmed ones stay as they are."""
    return conn.execute(
        sa.text(
            "update process.effect set state = case when state = 'failed' then 'planned' else state end, next_attempt_at = null,"
            " attempts = case when state = 'failed' then 0 else attempts end"
            " where id = any(:ids) and state in ('planned', 'unknown', 'failed') and error_kind is distinct from 'superseded'"
        ),
        {"ids": list(effect_ids)},
    ).rowcount


def newer(conn: Reading, entry: Entry) -> str | None:
    """The key of a later write on the same object, when what `entry` would say is out of date; else None.

    Only whole statements of a state (collections) are superseded; a release or a cash flow stands for itself.
    """
    if entry.kind != "update_collections":
        return None
    found = conn.execute(
        sa.text(
            "select effect_key from process.effect where connection = :connection and kind = :kind and object_key = :object"
            " and (payload ->> 'version')::bigint > :version order by id desc limit 1"
        ),
        {"connection": entry.connection, "kind": entry.kind, "object": entry.object_key, "version": int(entry.payload["version"])},
    ).scalar_one_or_none()
    return None if found is None else str(found)


def _settle(
    conn: Writing, effect_id: int, state: str, *, now: datetime, receipt: Mapping[str, Any] | None = None, error: str | None = None,
    kind: str | None = None,
) -> None:  # fmt: skip
    conn.execute(
        sa.text(
            "update process.effect set state = :state, settled_at = :now, receipt = cast(:receipt as jsonb), error = :error,"
            " error_kind = :kind, next_attempt_at = null where id = :id and state <> 'confirmed'"
        ),
        {
            "id": effect_id,
            "state": state,
            "now": now,
            "receipt": json.dumps(dict(receipt or {}), default=str),
            "error": error,
            "kind": kind,
        },
    )


def _postpone(conn: Writing, effect_id: int, state: str, error: str | None, kind: str | None, *, wait: timedelta) -> None:
    conn.execute(
        sa.text(
            "update process.effect set state = :state, error = :error, error_kind = :kind, next_attempt_at = clock_timestamp() + :wait"
            " where id = :id and state in ('planned', 'sent', 'unknown')"
        ),
        {"id": effect_id, "state": state, "error": error, "kind": kind, "wait": wait},
    )


def _entry(row: sa.RowMapping) -> Entry:
    return Entry(**{name: row[name] for name in Entry.__slots__})
