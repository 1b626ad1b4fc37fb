"""A statement that was missing between two others has come: the exception that asked for it closes by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import sqlalchemy as sa

from db.engine import Writing
from sync.ports import ControlTotal
from sync.quarantine import Place
from sync.statements.gaps import Gap, Span
from sync.statements.verdicts import SPAN

CAUSE = "balance_chain"
CAME = "the missing statement came"


def close(conn: Writing, place: Place, totals: Sequence[ControlTotal], *, now: datetime) -> int:
    """Resolves the open `balance_chain` exceptions of the stream whose gap is filled by what was read since they were opened; returns how
    many. `totals`: what was just written of the batch; without a statement in it nothing is asked. `now` is business time.
    """
    if not any(total.verdict == SPAN for total in totals):
        return 0
    waiting = conn.execute(
        sa.text(
            "select id, evidence, first_seen from process.exception where connection = :connection and stream = :stream"
            " and cause = :cause and kind = 'record' and state not in ('resolved', 'dismissed')"
        ),
        {"connection": place.connection, "stream": place.stream, "cause": CAUSE},
    ).all()
    gaps = {row.id: (gap, row.first_seen) for row in waiting if (gap := Gap.of(row.evidence)) is not None}
    filled = [key for key, (gap, since) in gaps.items() if gap.is_filled(_spans(conn, place, gap, since))]
    if filled:
        conn.execute(
            sa.text(
                "update process.exception set state = 'resolved', resolved_at = :now, resolution = :resolution where id = any(:filled)"
            ),
            {"now": now, "resolution": CAME, "filled": filled},
        )
    return len(filled)


def _spans(conn: Writing, place: Place, gap: Gap, since: datetime) -> list[Span]:
    """The closed statements of the gap's account and currency that were read since it was found."""
    rows = conn.execute(
        sa.text(
            "select subject, declared_count, declared_amount, computed_amount from process.control_total"
            " where connection = :connection and verdict = :verdict and currency = :currency and recorded_at >= :since"
            " and starts_with(subject, :account)"
        ),
        {
            "connection": place.connection, "verdict": SPAN, "currency": gap.currency, "since": since, "account": f"{gap.account} ",
        },
    )  # fmt: skip
    return [
        Span(date.fromisoformat(row.subject[-10:]), row.declared_amount, row.computed_amount, row.declared_count)
        for row in rows
        if row.subject[:-11] == gap.account
    ]
