"""What was refused has come well since: the exception about it closes by itself.

Two proofs, and no guess: a later page about the same subject is believed (a template's next run, a file of a declared series sent again),
or every day's statement of the refused file was read, balanced, from another file. A file name alone proves nothing: some senders use one
name for every day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from db.engine import Writing
from sync.ports import ControlTotal
from sync.quarantine import WELL_SINCE, Place
from sync.statements.verdicts import DAYS, SPAN


def close(conn: Writing, place: Place, judged: Mapping[str, bool], totals: Sequence[ControlTotal], *, now: datetime) -> int:
    """Resolves the stream's open exceptions about files that have come well since; returns how many.

    `judged`: subject -> whether the newest page of the batch about it was believed. `totals`: what the batch's files say of themselves.
    `now` is business time.
    """
    subjects = [subject for subject, believed in judged.items() if believed]
    closed = 0
    if subjects:
        closed += _resolve(conn, place, "source_key = any(:subjects)", now, subjects=subjects)
    if any(total.verdict == SPAN for total in totals):
        closed += _resolve(conn, place, _EVERY_DAY_CAME, now, span=SPAN, days=DAYS)
    return closed


_EVERY_DAY_CAME = """
jsonb_typeof(evidence -> :days) = 'array' and not exists (
  select from jsonb_array_elements_text(evidence -> :days) as wanted(day) where not exists (
    select from process.control_total t where t.connection = e.connection and t.verdict = :span and t.subject = wanted.day
      and t.recorded_at >= e.first_seen))
"""


def _resolve(conn: Writing, place: Place, where: str, now: datetime, **bound: object) -> int:
    return conn.execute(
        sa.text(
            "update process.exception e set state = 'resolved', resolved_at = :now, resolution = :resolution"
            " where connection = :connection and stream = :stream and kind = 'file' and state not in ('resolved', 'dismissed', 'replaying')"
            f" and ({where})"
        ),
        {"now": now, "resolution": WELL_SINCE, "connection": place.connection, "stream": place.stream, **bound},
    ).rowcount
