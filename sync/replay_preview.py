"""What a replay would do, without doing it: the same code in a transaction that is rolled back, on a sample of the set.

A write is only looked up in the ledger; another company's system is never asked while a person waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
import structlog

from db.engine import Database, Reading, Scope, reading, writing
from db.schema import canonical
from sync import reprocessing
from sync.connections import ConfigError, Landscape
from sync.errors import SourceError
from sync.exception_filter import ExceptionFilter
from sync.replay import Tools

SAMPLE = 25
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """One item of the sample: what would be written where, under which key; whether it is applied already; what moved on."""

    exception_id: int
    subject: str
    would: str
    lands: bool
    idempotency_key: str | None
    already_applied: bool
    moved_on: str | None
    money: Decimal | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """`total` is the whole set; the counts are of the sample in `lines`."""

    total: int
    lines: Sequence[Line]

    def count(self, *, lands: bool) -> int:
        """How many of the sample would land, or would not."""
        return sum(line.lands is lands for line in self.lines)


class _Undo(Exception):
    """Ends the trial: nothing of it is kept."""


def preview(
    database: Database,
    landscape: Landscape,
    *,
    ids: Sequence[int] = (),
    query: ExceptionFilter | None = None,
    scope: Scope | None = None,
    now: datetime,
    sample: int = SAMPLE,
    tools: Tools | None = None,
) -> Preview:
    """What replaying `ids`, or all that `query` selects, would do; `scope` cuts it to what the person may see."""
    where, bound = query.where("e") if query is not None else ("e.id = any(:ids)", {"ids": list(ids)})
    with reading(database.engine, scope) as conn:
        total = int(conn.execute(sa.text(f"select count(*) from process.exception e where {where}"), bound).scalar_one())
        rows = conn.execute(
            sa.text(
                f"select e.* from process.exception e where {where} order by e.money_at_risk_reporting desc nulls last, e.id limit :sample"
            ),
            {**bound, "sample": sample},
        ).all()
    reach = tools or Tools(landscape)
    try:
        answers = _try(database, landscape, rows, reach, now)
    finally:
        reach.close()
    with reading(database.engine) as conn:
        return Preview(total, [_line(conn, row, answers) for row in rows])


def _try(database: Database, landscape: Landscape, rows: Sequence[Any], tools: Tools, now: datetime) -> Mapping[int, reprocessing.Again]:
    """Promotes the sample's records in a transaction that is always undone; what it would say of each."""
    by_connection: dict[str, list[int]] = {}
    for row in rows:
        if row.kind in ("record", "file") and row.raw_record_id is not None:
            by_connection.setdefault(row.connection, []).append(row.raw_record_id)
    answers: dict[int, reprocessing.Again] = {}
    for connection, ids in by_connection.items():
        try:
            with writing(database.engine) as conn:
                again = reprocessing.reprocess(conn, landscape.connection(connection), landscape, tools.source(connection), ids, now=now)
                answers |= {answer.raw_record_id: answer for answer in again}
                raise _Undo
        except _Undo:
            continue
        except (ConfigError, SourceError) as error:
            answers |= {number: reprocessing.Again(number, "quarantined", str(error)) for number in ids}
        except Exception as error:
            log.exception("preview.failed", connection=connection)
            words = f"it can't be tried: {type(error).__name__}"
            answers |= {number: reprocessing.Again(number, "quarantined", words) for number in ids}
    return answers


def _line(conn: Reading, row: Any, answers: Mapping[int, reprocessing.Again]) -> Line:
    if row.kind == "effect":
        return _effect(conn, row)
    if row.kind in ("record", "file"):
        return _record(conn, row, answers)
    would = "the rule would decide again" if row.kind == "rule" else f"{row.connection} would be asked again"
    return _of(row, f"{row.entity or row.stream or row.kind} {row.source_key or ''}".strip(), would, lands=True)


def _record(conn: Reading, row: Any, answers: Mapping[int, reprocessing.Again]) -> Line:
    subject = f"{row.entity or row.stream} {row.source_key or 'without a key'}"
    newer = _newer(conn, row)
    answer = answers.get(row.raw_record_id or -1)
    key = f"{row.connection}/{row.source_key}" + (f"@{row.source_version}" if row.source_version is not None else "")
    if newer is not None:
        return _of(row, subject, "nothing: a newer version landed", lands=True, key=key, already=True, moved_on=newer)
    if answer is None or answer.outcome in ("quarantined", "missing"):
        words = (
            answer.words if answer else None
        ) or "it would fail as before, unless the source has a corrected version: it is asked first"
        return _of(row, subject, words, lands=False, key=key)
    if answer.outcome == "promoted":
        return _of(row, subject, f"would land in {row.entity}", lands=True, key=key)
    return _of(row, subject, "nothing: it is there already", lands=True, key=key, already=True)


def _newer(conn: Reading, row: Any) -> str | None:
    if row.entity not in canonical.ENTITIES or row.source_key is None:
        return None
    table = canonical.ENTITIES[row.entity]
    found = conn.execute(
        sa.select(table.c.recorded_at, table.c.source_version).where(table.c.source == row.connection, table.c.source_key == row.source_key)
    ).one_or_none()
    if found is None:
        return None
    if found.recorded_at > row.last_seen or (row.source_version is not None and found.source_version >= row.source_version):
        return f"a version recorded {found.recorded_at:%Y-%m-%d %H:%M} UTC is here"
    return None


def _effect(conn: Reading, row: Any) -> Line:
    effect = conn.execute(
        sa.text("select effect_key, kind, connection, object_key, state, payload, error_kind from process.effect where id = :id"),
        {"id": row.effect_id},
    ).one_or_none()
    if effect is None:
        return _of(row, f"write {row.source_key}", "the ledger does not know it", lands=False)
    subject = f"{effect.kind.replace('_', ' ')} {effect.object_key} in {effect.connection}"
    done = effect.state == "confirmed"
    would = {
        "confirmed": "nothing: the target has it",
        "unknown": "the target would be read, and written only if it does not have it",
    }.get(effect.state, "would be sent again under the same key")
    moved_on = None
    if effect.kind == "release_order":
        order = conn.execute(
            sa.text("select credit_status from canonical.sales_order where source = :source and source_key = :key"),
            {"source": effect.connection, "key": effect.object_key},
        ).scalar_one_or_none()
        moved_on = None if order == "blocked" else f"the order is {order or 'not here'} now"
    return _of(row, subject, would, lands=True, key=effect.effect_key, already=done, moved_on=moved_on)


def _of(
    row: Any, subject: str, would: str, *, lands: bool, key: str | None = None, already: bool = False, moved_on: str | None = None
) -> Line:
    money = row.money_at_risk_reporting if row.money_at_risk is None else row.money_at_risk
    return Line(row.id, subject, would, lands, key, already, moved_on, money, row.currency)
