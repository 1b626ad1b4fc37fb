"""The exception queue as people read it: groups by cause, pages of rows, one item; ranked by money x time left, in SQL.

`app.live.exceptions` shows what these return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa

from db.engine import Reading
from sync.exception_filter import ExceptionFilter

# More money first, and among equals what is due sooner; what is overdue counts as due within the hour.
_RANK = "coalesce({money}, 0) / greatest(extract(epoch from {due} - cast(:now as timestamptz)) / 3600, 1)"


@dataclass(frozen=True, slots=True)
class Group:
    """Exceptions of one fingerprint. `money` in the reporting currency; None when none of them has a known worth."""

    cause: str
    fingerprint: str
    connection: str
    entity: str | None
    hint: str | None
    count: int
    money: Decimal | None
    first_seen: datetime
    last_seen: datetime
    due_at: datetime | None
    states: Mapping[str, int]


def groups(conn: Reading, query: ExceptionFilter, *, now: datetime, limit: int = 200) -> Sequence[Group]:
    """The groups of what `query` selects, ranked by money x time left."""
    where, bound = query.where("e")
    rows = conn.execute(
        sa.text(
            "with counted as (select e.fingerprint, e.state, count(*) as n, min(e.cause) as cause, min(e.connection) as connection,"
            "  min(e.entity) as entity, min(e.hint) as hint, sum(e.money_at_risk_reporting) as money,"
            "  min(e.first_seen) as first_seen, max(e.last_seen) as last_seen, min(e.due_at) as due_at"
            f" from process.exception e where {where} group by e.fingerprint, e.state),"
            " g as (select fingerprint, min(cause) as cause, min(connection) as connection, min(entity) as entity, min(hint) as hint,"
            "  cast(sum(n) as bigint) as count, sum(money) as money, min(first_seen) as first_seen, max(last_seen) as last_seen,"
            "  min(due_at) as due_at, jsonb_object_agg(state, n) as states from counted group by fingerprint)"
            f" select * from g order by {_RANK.format(money='g.money', due='g.due_at')} desc nulls last, g.count desc, g.fingerprint"
            " limit :limit"
        ),
        {**bound, "now": now, "limit": limit},
    ).mappings()
    return [Group(**{name: row[name] for name in Group.__slots__}) for row in rows]


def page(conn: Reading, query: ExceptionFilter, *, now: datetime, offset: int = 0, limit: int = 50) -> Sequence[sa.RowMapping]:
    """One page of rows of process.exception, ranked by money x time left."""
    where, bound = query.where("e")
    return (
        conn.execute(
            sa.text(
                f"select e.* from process.exception e where {where}"
                f" order by {_RANK.format(money='e.money_at_risk_reporting', due='e.due_at')} desc nulls last, e.id"
                " limit :limit offset :offset"
            ),
            {**bound, "now": now, "offset": offset, "limit": limit},
        )
        .mappings()
        .all()
    )


def total(conn: Reading, query: ExceptionFilter) -> tuple[int, Decimal | None]:
    """How many `query` selects, and their money at risk in the reporting currency."""
    where, bound = query.where("e")
    row = conn.execute(
        sa.text(f"select count(*) as n, sum(e.money_at_risk_reporting) as money from process.exception e where {where}"), bound
    ).one()
    return int(row.n), row.money


def one(conn: Reading, exception_id: int) -> sa.RowMapping | None:
    """The row of one exception, or None when it is not there or not to be seen."""
    found = conn.execute(sa.text("select * from process.exception where id = :id"), {"id": exception_id})
    return found.mappings().one_or_none()
