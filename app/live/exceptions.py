"""The exception queue as a person sees it: groups, rows, one item whole, all cut to the person's regions by the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from app.desk import (
    Amount,
    DeskError,
    ExceptionDetail,
    ExceptionFilter,
    ExceptionGroup,
    ExceptionRow,
    Exceptions,
    HistoryLine,
)
from app.live.evidence import evidence
from db.engine import Reading
from sync import audit
from sync.canonical.causes import CAUSES
from sync.canonical.contracts import CONTRACTS
from sync.exception_filter import ExceptionFilter as SyncFilter

# What is at stake for how long: money weighs as it is, and twice as much once the time to act is up.
RANK = """coalesce({a}.money_at_risk_reporting, 0) * (case when {a}.due_at < :now then 2 when {a}.due_at < cast(:now as timestamptz)
 + interval '4 hours' then 1.5 else 1 end) desc, {a}.due_at asc nulls last, {a}.id"""

_GROUPS = """
select e.cause, e.fingerprint, min(e.connection) as connection, min(e.entity) as entity, count(*) as n,
  sum(e.money_at_risk_reporting) as money, min(e.first_seen) as first_seen, max(e.last_seen) as last_seen, min(e.due_at) as due_at,
  max(e.hint) as hint, max(e.severity) as severity,
  count(*) filter (where e.state = 'new') as new, count(*) filter (where e.state = 'acknowledged') as acknowledged,
  count(*) filter (where e.state = 'waiting') as waiting, count(*) filter (where e.state = 'replaying') as replaying,
  count(*) filter (where e.state = 'regressed') as regressed, count(*) filter (where e.state = 'resolved') as resolved,
  count(*) filter (where e.state = 'dismissed') as dismissed
from process.exception e where {where} group by e.cause, e.fingerprint
order by coalesce(sum(e.money_at_risk_reporting), 0) * (case when min(e.due_at) < :now then 2 else 1 end) desc, count(*) desc limit 200
"""


def converted(query: ExceptionFilter) -> SyncFilter:
    """The page's filter as the one that commands carry."""
    return SyncFilter(**{name: value for name, value in asdict(query).items() if value not in (None, "")})


def exceptions(conn: Reading, query: ExceptionFilter, page: int, page_size: int, *, now: datetime, currency: str) -> Exceptions:
    """The groups that match, and one page of the rows, both ranked by money and the time left."""
    where, bound = converted(query).where("e")
    values = {**bound, "now": now}
    groups = [_group(row, currency) for row in conn.execute(sa.text(_GROUPS.format(where=where)), values)]
    rows = conn.execute(
        sa.text(f"select e.* from process.exception e where {where} order by {RANK.format(a='e')} limit :limit offset :offset"),
        {**values, "limit": page_size, "offset": page * page_size},
    )
    total, money = conn.execute(
        sa.text(f"select count(*), sum(e.money_at_risk_reporting) from process.exception e where {where}"), values
    ).one()
    return Exceptions(
        as_of=now,
        total=total,
        money=_reporting(money, currency),
        groups=groups,
        rows=[as_row(row, currency) for row in rows],
        page=page,
        page_size=page_size,
    )


def exception(conn: Reading, exception_id: int, *, currency: str) -> ExceptionDetail:
    """One exception whole; DeskError when it is not there or not in the person's regions."""
    found = conn.execute(sa.text("select * from process.exception where id = :id"), {"id": exception_id}).first()
    if found is None:
        raise DeskError(f"There is no exception {exception_id} in your regions.")
    page_name, received_at, record = None, None, None
    if found.raw_record_id is not None:
        try:
            proof = evidence(conn, found.raw_record_id)
            page_name, received_at, record = proof.page_name, proof.received_at, proof.text
        except DeskError as gone:
            record = str(gone)
    lines = audit.exception_history(conn, exception_id)
    return ExceptionDetail(
        row=as_row(found, currency),
        hint=found.hint or "",
        evidence=found.evidence or {},
        record=record,
        page_name=page_name,
        received_at=received_at,
        editable=_editable(found.entity, found.evidence or {}),
        history=[HistoryLine(line.at, line.actor, line.action, line.reason, _words(line.detail)) for line in lines],
    )


def as_row(row: Any, currency: str) -> ExceptionRow:
    """A row of process.exception as pages see it; its money in the reporting currency where a rate was known, else as it came."""
    money = _reporting(row.money_at_risk_reporting, currency)
    if money is None and row.money_at_risk is not None and row.currency is not None:
        money = Amount(abs(row.money_at_risk), row.currency)
    return ExceptionRow(
        id=row.id,
        cause=row.cause,
        title=CAUSES[row.cause].title if row.cause in CAUSES else row.cause,
        fingerprint=row.fingerprint,
        severity=row.severity,
        state=row.state,
        connection=row.connection,
        region=row.region,
        entity=row.entity,
        source_key=row.source_key,
        customer=row.customer_name or row.customer_key,
        money=money,
        message=row.message,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        occurrences=row.occurrences,
        attempts=row.attempts,
        next_retry_at=row.next_retry_at,
        due_at=row.due_at,
        owner=row.owner,
        dismissed_until=row.dismissed_until,
        regressed_from=row.regressed_from,
    )


def _group(row: Any, currency: str) -> ExceptionGroup:
    states = ("new", "acknowledged", "waiting", "replaying", "regressed", "resolved", "dismissed")
    return ExceptionGroup(
        cause=row.cause,
        title=CAUSES[row.cause].title if row.cause in CAUSES else row.cause,
        fingerprint=row.fingerprint,
        severity=row.severity,
        connection=row.connection,
        entity=row.entity,
        count=row.n,
        money=_reporting(row.money, currency),
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        due_at=row.due_at,
        hint=row.hint or "",
        states={state: getattr(row, state) for state in states if getattr(row, state)},
    )


def _reporting(money: Decimal | None, currency: str) -> Amount | None:
    return None if money is None else Amount(money, currency)


def _editable(entity: str | None, evidence_: Mapping[str, Any]) -> Mapping[str, str]:
    """The fields a person may correct before a replay, with what was received."""
    if entity is None or entity not in CONTRACTS:
        return {}
    return {name: str(evidence_.get(name, "")) for name in CONTRACTS[entity].editable}


def _words(detail: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in detail.items() if not isinstance(value, Mapping | list))
