"""The files of a connection as a person sees them: what is late or missing, what is due next, what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.engine import Reading
from sync.connections import Connection
from sync.drops.calendar import calendars, expected
from sync.drops.deliveries import deliveries

_RECEIVED = """
select p.connection, p.name, p.recorded_at, p.byte_count, p.record_count,
  coalesce((select bool_and(t.agree) from process.control_total t where t.page_id = p.id), true) as totals_agree,
  (select x.message from process.exception x where x.kind = 'file' and x.raw_record_id >> 24 = p.id limit 1) as refused
from (select p.id, p.connection, p.name, p.recorded_at, p.byte_count, p.record_count,
             row_number() over (partition by p.connection order by p.recorded_at desc) as place
      from raw.page p where p.kind = 'file') p
where p.place <= 12 order by p.connection, p.recorded_at desc
"""
_WAITED_FOR = """
select connection, stream, source_key, cause, message, evidence->>'due' as due from process.exception
where kind = 'stream' and cause in ('file_late', 'file_missing') and state not in ('resolved', 'dismissed')
order by connection, evidence->>'due'
"""
_NONE: Mapping[str, Any] = dict.fromkeys(("file", "state", "due", "received_at", "bytes", "records", "totals_agree", "verdict"))


def of_connections(conn: Reading, connections: Sequence[Connection], *, now: datetime) -> dict[str, list[Mapping[str, Any]]]:
    """Connection -> its files: those waited for, worst first, the next that is due of each stream, then the last that came."""
    found: dict[str, list[Mapping[str, Any]]] = {connection.name: [] for connection in connections}
    for row in conn.execute(sa.text(_WAITED_FOR)):
        due = datetime.fromisoformat(row.due) if row.due else None
        line = {"file": f"{row.stream} of {row.source_key}", "state": row.cause.removeprefix("file_"), "due": due, "verdict": row.message}
        found.get(row.connection, []).append({**_NONE, **line})
    for connection in connections:
        found[connection.name] += _next(connection, now)
    for row in conn.execute(sa.text(_RECEIVED)):
        found.get(row.connection, []).append({**_NONE, **_came(row)})
    return found


def _next(connection: Connection, now: datetime) -> list[Mapping[str, Any]]:
    """The next file due of each stream that has a calendar, of each delivery of one that has several."""
    due = [
        (stream, each)
        for stream, (calendar, name) in calendars(connection.options).items()
        for each in expected(calendar, (), zone=connection.zone, name=name, since=now, now=now)[-1:]
    ]
    if connection.system == "bank_files":
        due += [
            ("statements", each)
            for delivery in deliveries(connection.options)
            for each in delivery.awaited((), zone=connection.zone, since=now, now=now)[-1:]
        ]
    return [
        {**_NONE, "file": f"{stream} of {each.subject}", "state": "expected", "due": each.due, "verdict": each.words}
        for stream, each in due
    ]


def _came(row: Any) -> Mapping[str, Any]:
    return {
        "file": row.name,
        "state": "refused" if row.refused else "received",
        "received_at": row.recorded_at,
        "bytes": row.byte_count,
        "records": row.record_count,
        "totals_agree": row.totals_agree,
        "verdict": row.refused or ("accepted" if row.totals_agree else "accepted, but its totals do not agree"),
    }
