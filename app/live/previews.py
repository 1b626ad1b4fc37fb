"""What a replay would do, as the desk shows it."""

from __future__ import annotations

from collections.abc import Sequence

from app.desk import ExceptionFilter, Preview, PreviewLine
from app.live.amounts import shown
from app.live.exceptions import converted
from app.office import Office
from db.engine import Scope
from sync import replay_preview


def preview(office: Office, scope: Scope, ids: Sequence[int], query: ExceptionFilter | None) -> Preview:
    """The trial of a sample, scaled to nothing: the counts are of the sample, the total is of the set."""
    found = replay_preview.preview(
        office.database,
        office.landscape,
        ids=ids,
        query=None if ids else converted(query or ExceptionFilter()),
        scope=scope,
        now=office.clock.now(),
    )
    return Preview(
        total=found.total,
        would_land=found.count(lands=True),
        would_fail=found.count(lands=False),
        already_applied=sum(line.already_applied for line in found.lines),
        lines=[
            PreviewLine(
                exception_id=line.exception_id,
                subject=line.subject,
                would=line.would,
                idempotency_key=line.idempotency_key,
                already_applied=line.already_applied,
                moved_on=line.moved_on,
                money=shown(line.money, line.currency or office.landscape.reporting_currency) if line.money is not None else None,
            )
            for line in found.lines
        ],
    )
