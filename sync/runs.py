"""The log of pulls (`process.run`), and the events that a stream gives of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from db.engine import Writing
from sync.connections import Connection
from sync.promotion_batch import Counts


class Told(Protocol):
    """What a run's end is told of."""

    @property
    def pages(self) -> int: ...
    @property
    def counts(self) -> Counts: ...
    @property
    def error(self) -> str | None: ...


def start(conn: Writing, connection: Connection, stream: str, trigger: str, now: datetime) -> int:
    """A run of ours; what a dead worker left running is abandoned, for we hold the lease."""
    values = {"connection": connection.name, "stream": stream, "region": connection.region, "trigger": trigger, "now": now}
    conn.execute(
        sa.text(
            "update process.run set state = 'abandoned', ended_at = :now"
            " where connection = :connection and stream = :stream and state = 'running'"
        ),
        values,
    )
    return int(
        conn.execute(
            sa.text(
                "insert into process.run (connection, stream, region, trigger, started_at, state)"
                " values (:connection, :stream, :region, :trigger, :now, 'running') returning id"
            ),
            values,
        ).scalar_one()
    )


def end(conn: Writing, run_id: int, state: str, result: Told, now: datetime) -> None:
    """Writes down how the run ended. `now` is business time."""
    conn.execute(
        sa.text(
            "update process.run set state = :state, ended_at = :now, pages = :pages, records = :records, error = :error where id = :id"
        ),
        {"id": run_id, "state": state, "now": now, "pages": result.pages, "records": result.counts.received, "error": result.error},
    )


def tell(conn: Writing, connection: Connection, stream: str, kind: str, run_id: int, now: datetime, data: Mapping[str, object]) -> None:
    """An event about the stream itself (`sync.delayed`, `sync.recovered`); no rule waits for it."""
    conn.execute(
        sa.text(
            "insert into process.event (type, entity, source, source_key, source_version, region, occurred_at, recorded_at,"
            " objects, raw_record_id, data, state) values (:type, 'stream', :source, :stream, :run, :region, :now, :now,"
            " array[:object], 0, cast(:data as jsonb), 'ignored') on conflict do nothing"
        ),
        {
            "type": kind,
            "source": connection.name,
            "stream": stream,
            "run": run_id,
            "region": connection.region,
            "now": now,
            "object": f"stream:{connection.name}:{stream}",
            "data": json.dumps(dict(data)),
        },
    )
