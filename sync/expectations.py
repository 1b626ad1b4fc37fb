"""Files that should have come and did not: one exception for each, which closes by itself when the file comes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from db.engine import Reading, Writing
from sync import quarantine, sla
from sync.canonical.causes import CAUSES
from sync.fingerprint import fingerprint
from sync.ports import Arrived, Expected, Expecting
from sync.quarantine import Place, Trouble

OF_STATE = {"late": "file_late", "missing": "file_missing"}
CAME = "the file came"
GONE = "the file is no longer expected"


def keep(conn: Writing, place: Place, source: Expecting, *, since: datetime | None, now: datetime) -> int:
    """Opens, worsens and closes the exceptions about the files that `source` expects for the stream; returns how many are open then.

    `since`: when the stream went live (UTC); nothing that was due before is asked for. `now` is business time.
    """
    judged = source.expected(place.stream, arrivals(conn, place.connection, place.stream), since=since, now=now)
    wanting = {each.subject: each for each in judged if each.state in OF_STATE}
    received = {each.subject for each in judged if each.state == "received"}
    held = _open(conn, place)
    _close(conn, place, [subject for subject in held if subject in received], CAME, now)
    _close(conn, place, [subject for subject in held if subject not in received and subject not in wanting], GONE, now)
    fresh: list[Trouble] = []
    for subject, each in wanting.items():
        if subject not in held:
            fresh.append(Trouble(OF_STATE[each.state], each.words, subject=subject, evidence={"due": each.due.isoformat()}))
        elif held[subject] != OF_STATE[each.state]:
            _worsen(conn, place, each, now)
    quarantine.trouble(conn, place, fresh, now=now)
    return len(wanting)


def arrivals(conn: Reading, connection: str, stream: str) -> Sequence[Arrived]:
    """The files that have come on the stream, also by hand, also refused ones: those have an exception of their own."""
    rows = conn.execute(
        sa.text(
            "select name, recorded_at from raw.page where connection = :connection and stream = :stream and kind = 'file'"
            " and name is not null order by recorded_at desc limit 2000"
        ),
        {"connection": connection, "stream": stream},
    )
    return [Arrived(row.name, row.recorded_at) for row in rows]


def _open(conn: Reading, place: Place) -> dict[str, str]:
    """Subject -> cause of what is open. What a person dismissed counts as said."""
    rows = conn.execute(
        sa.text(
            "select source_key, cause from process.exception where connection = :connection and stream = :stream and kind = 'stream'"
            " and cause = any(:causes) and state <> 'resolved'"
        ),
        {"connection": place.connection, "stream": place.stream, "causes": list(OF_STATE.values())},
    )
    return {row.source_key: row.cause for row in rows}


def _close(conn: Writing, place: Place, subjects: list[str], resolution: str, now: datetime) -> None:
    if subjects:
        conn.execute(
            sa.text(
                "update process.exception set state = 'resolved', resolved_at = :now, resolution = :resolution"
                " where connection = :connection and stream = :stream and kind = 'stream' and cause = any(:causes)"
                " and source_key = any(:subjects) and state not in ('resolved', 'dismissed')"
            ),
            {
                "connection": place.connection, "stream": place.stream, "causes": list(OF_STATE.values()), "subjects": subjects,
                "resolution": resolution, "now": now,
            },
        )  # fmt: skip


def _worsen(conn: Writing, place: Place, each: Expected, now: datetime) -> None:
    """A late file that is given up is the same exception with another cause."""
    slug = OF_STATE[each.state]
    cause = CAUSES[slug]
    conn.execute(
        sa.text(
            "update process.exception set cause = :cause, severity = :severity, hint = :hint, message = :message, last_seen = :now,"
            " fingerprint = :fingerprint, due_at = least(due_at, :due)"
            " where connection = :connection and stream = :stream and kind = 'stream' and cause = any(:causes)"
            " and source_key = :subject and state not in ('resolved', 'dismissed')"
        ),
        {
            "connection": place.connection, "stream": place.stream, "causes": list(OF_STATE.values()), "subject": each.subject,
            "cause": slug, "severity": cause.severity, "hint": cause.hint, "message": each.words, "now": now,
            "fingerprint": fingerprint(slug, place.connection, place.stream), "due": sla.due(cause.severity, now),
        },
    )  # fmt: skip
