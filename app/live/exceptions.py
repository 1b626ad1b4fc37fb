"""The exception queue as a person sees it: groups, rows, one item whole, all cut to the person's regions by the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

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
from app.live.amounts import shown
from app.live.evidence import original
from db.engine import Reading
from sync import audit, exception_queries
from sync.canonical.causes import CAUSES
from sync.canonical.contracts import CONTRACTS
from sync.exception_filter import ExceptionFilter as SyncFilter


def converted(query: ExceptionFilter) -> SyncFilter:
    """The page's filter as the one that commands carry."""
    return SyncFilter(**{name: value for name, value in asdict(query).items() if value not in (None, "")})


def exceptions(conn: Reading, query: ExceptionFilter, page: int, page_size: int, *, now: datetime, currency: str) -> Exceptions:
    """The groups that match, and one page of the rows, both ranked by money and the time left."""
    chosen = converted(query)
    total, money = exception_queries.total(conn, chosen)
    return Exceptions(
        as_of=now,
        total=total,
        money=_reporting(money, currency),
        groups=[_group(group, currency) for group in exception_queries.groups(conn, chosen, now=now)],
        rows=[
            as_row(dict(row), currency) for row in exception_queries.page(conn, chosen, now=now, offset=page * page_size, limit=page_size)
        ],
        page=page,
        page_size=page_size,
    )


def exception(conn: Reading, exception_id: int, *, currency: str) -> ExceptionDetail:
    """One exception whole; DeskError when it is not there or not in the person's regions."""
    found = exception_queries.one(conn, exception_id)
    if found is None:
        raise DeskError(f"There is no exception {exception_id} in your regions.")
    page_name, received_at, record = None, None, None
    corrected: Mapping[str, str | None] = {}
    if found["raw_record_id"] is not None:
        try:
            proof, corrected = original(conn, found["raw_record_id"])
            page_name, received_at, record = proof.page_name, proof.received_at, proof.text
        except DeskError as gone:
            record = str(gone)
    lines = audit.exception_history(conn, exception_id)
    return ExceptionDetail(
        row=as_row(dict(found), currency),
        hint=found["hint"] or "",
        evidence=found["evidence"] or {},
        record=record,
        page_name=page_name,
        received_at=received_at,
        editable=_editable(found["entity"], found["evidence"] or {}),
        history=[HistoryLine(line.at, line.actor, line.action, line.reason, _words(line.detail)) for line in lines],
        corrected=corrected,
    )


def as_row(row: Mapping[str, Any], currency: str) -> ExceptionRow:
    """A row of process.exception as pages see it; its money in the reporting currency where a rate was known, else as it came."""
    money = _reporting(row["money_at_risk_reporting"], currency)
    if money is None and row["money_at_risk"] is not None and row["currency"] is not None:
        money = shown(abs(row["money_at_risk"]), row["currency"])
    same = {field.name: row[field.name] for field in fields(ExceptionRow) if field.name not in ("title", "customer", "money")}
    return ExceptionRow(**same, title=title_of(row["cause"]), customer=row["customer_name"] or row["customer_key"], money=money)


def _group(group: exception_queries.Group, currency: str) -> ExceptionGroup:
    same = {name: getattr(group, name) for name in group.__slots__ if name not in ("money", "hint", "severity")}
    severity = CAUSES[group.cause].severity if group.cause in CAUSES else "medium"
    return ExceptionGroup(
        **same, title=title_of(group.cause), severity=severity, money=_reporting(group.money, currency), hint=group.hint or ""
    )


def title_of(cause: str) -> str:
    """The cause in words for a person."""
    return CAUSES[cause].title if cause in CAUSES else cause


def _reporting(money: Decimal | None, currency: str) -> Amount | None:
    return None if money is None else shown(money, currency)


def _editable(entity: str | None, evidence_: Mapping[str, Any]) -> Mapping[str, str]:
    """The fields a person may correct before a replay, with what was received."""
    if entity is None or entity not in CONTRACTS:
        return {}
    return {name: str(evidence_.get(name, "")) for name in CONTRACTS[entity].editable}


def _words(detail: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in detail.items() if not isinstance(value, Mapping | list))
