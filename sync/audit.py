"""Who did what, when and why: one hash chain per region, '*' for what concerns all. Rows are only ever added.

The database computes each link itself, under a lock, so that neither a forgotten call nor two writers at once can fork a chain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.engine import Reading, Writing


@dataclass(frozen=True, slots=True)
class Break:
    """A link that does not hold: the chain, the row's id (None for the chain as a whole), and what is wrong."""

    chain: str
    id: int | None
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """One act, as its history shows it."""

    at: datetime
    actor: str
    action: str
    reason: str | None
    detail: Mapping[str, Any]


def write(
    conn: Writing,
    *,
    chain: str,
    at: datetime,
    actor: str,
    action: str,
    subject_kind: str,
    subject_key: str,
    reason: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Adds one act to `chain` (a region, or '*'). `at`: business time, UTC. Part of the caller's transaction: no act without it."""
    conn.execute(
        sa.text(
            "insert into governance.audit (chain, at, actor, action, subject_kind, subject_key, reason, detail) values"
            " (:chain, :at, :actor, :action, :subject_kind, :subject_key, :reason, cast(:detail as jsonb))"
        ),
        {
            "chain": chain,
            "at": at,
            "actor": actor,
            "action": action,
            "subject_kind": subject_kind,
            "subject_key": subject_key,
            "reason": reason,
            "detail": json.dumps(dict(detail or {}), default=str),
        },
    )


_VERIFY = """
select chain, id,
       previous_hash is distinct from lag(hash) over link as forked,
       hash is distinct from governance.audit_digest(previous_hash, chain, at, actor, action, subject_kind, subject_key, reason, detail)
         as changed
from governance.audit window link as (partition by chain order by id)
"""


def verify(conn: Reading) -> list[Break]:
    """Recomputes every chain; the links that do not hold, in order. A chain cut at its end needs `heads` kept elsewhere to be seen."""
    rows = conn.execute(sa.text(f"select * from ({_VERIFY}) links where forked or changed order by chain, id limit 100"))
    return [
        Break(row.chain, row.id, "the row is not what was written" if row.changed else "a row before it is missing or was changed")
        for row in rows
    ]


def heads(conn: Reading) -> dict[str, tuple[int, str]]:
    """Chain -> (id, hash in hex) of its newest link: what to keep outside the database, so that a cut tail shows."""
    rows = conn.execute(sa.text("select distinct on (chain) chain, id, hash from governance.audit order by chain, id desc"))
    return {row.chain: (row.id, bytes(row.hash).hex()) for row in rows}


def check_heads(conn: Reading, kept: Mapping[str, tuple[int, str]]) -> list[Break]:
    """Chains whose kept head is not in the log any more, or reads otherwise."""
    found = []
    for chain, (number, digest) in sorted(kept.items()):
        row = conn.execute(
            sa.text("select hash from governance.audit where chain = :chain and id = :id"), {"chain": chain, "id": number}
        ).one_or_none()
        if row is None:
            found.append(Break(chain, number, "the log ends before a link that was anchored elsewhere"))
        elif bytes(row.hash).hex() != digest:
            found.append(Break(chain, number, "the anchored link reads otherwise now"))
    return found


def exception_history(conn: Reading, exception_id: int) -> Sequence[Line]:
    """Every act on one exception, oldest first: its own entries, and those of the commands it was part of."""
    rows = conn.execute(
        sa.text(
            "select a.at, a.actor, a.action, a.reason, a.detail from governance.audit a"
            " where a.subject_kind = 'exception' and a.subject_key = cast(cast(:id as bigint) as text)"
            " union all"
            " select a.at, a.actor, a.action, a.reason, a.detail || jsonb_strip_nulls(jsonb_build_object('outcome', i.outcome))"
            " from process.command_item i join governance.audit a"
            "  on a.subject_kind = 'command' and a.subject_key = i.command_id::text and a.chain = i.region"
            " where i.exception_id = cast(:id as bigint) order by 1"
        ),
        {"id": exception_id},
    )
    return [Line(row.at, row.actor, row.action, row.reason, row.detail) for row in rows]
