"""What is known of every stream: its cursor, its lease, how it fared, and when it may be tried again (`process.stream`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from db.engine import Reading, Writing, reading
from sync.connections import Connection, Landscape
from sync.ports import Cursor, Pending, Stream


@dataclass(frozen=True, slots=True)
class State:
    """A stream as it stands. Times named `_wall` are the database's clock; the others are business time, all UTC."""

    connection: str
    stream: str
    region: str
    cursor: Cursor | None
    live_since: datetime | None
    complete_until: datetime | None
    last_success_at: datetime | None
    last_error_kind: str | None
    next_attempt_wall: datetime | None
    breaker_open_until_wall: datetime | None
    consecutive_failures: int
    is_paused: bool
    paused_reason: str | None
    fields_seen: Mapping[str, str]
    waits: bool
    """Its next attempt lies in the future, by the database's clock."""


def register(conn: Writing, connection: Connection, streams: Sequence[Stream]) -> None:
    """Makes a row for every stream of `connection` that has none yet; a region that changed in the settings is corrected.

    What is right already is only read: a batch that is being written holds its stream's row, and nobody may wait for that here.
    """
    found = conn.execute(
        sa.text("select stream, region from process.stream where connection = :connection"), {"connection": connection.name}
    )
    known = {row.stream: row.region for row in found}
    for stream in sorted(streams, key=lambda each: each.name):
        if known.get(stream.name) != connection.region:
            conn.execute(
                sa.text(
                    "insert into process.stream (connection, stream, region) values (:connection, :stream, :region)"
                    " on conflict (connection, stream) do update set region = excluded.region"
                ),
                {"connection": connection.name, "stream": stream.name, "region": connection.region},
            )


def state(conn: Reading, connection: str, stream: str) -> State | None:
    """The stream's row, or None when it was never registered."""
    row = conn.execute(
        sa.text(
            "select *, coalesce(next_attempt_at > clock_timestamp(), false) as waits from process.stream"
            " where connection = :connection and stream = :stream"
        ),
        {"connection": connection, "stream": stream},
    ).one_or_none()
    if row is None:
        return None
    return State(
        connection=row.connection,
        stream=row.stream,
        region=row.region,
        cursor=row.cursor,
        live_since=row.live_since,
        complete_until=row.complete_until,
        last_success_at=row.last_success_at,
        last_error_kind=row.last_error_kind,
        next_attempt_wall=row.next_attempt_at,
        breaker_open_until_wall=row.breaker_open_until,
        consecutive_failures=row.consecutive_failures,
        is_paused=row.is_paused,
        paused_reason=row.paused_reason,
        fields_seen=row.fields_seen or {},
        waits=row.waits,
    )


def known(conn: Reading, connection: str, stream: str) -> State:
    """The stream's row; LookupError when it was never registered."""
    found = state(conn, connection, stream)
    if found is None:
        raise LookupError(f"stream {connection}/{stream} was never registered")
    return found


@dataclass(frozen=True, slots=True)
class Progress:
    """What one committed batch moves forward."""

    cursor: Cursor | None
    complete_until: datetime | None
    newest_changed_at: datetime | None
    records: int
    fields_seen: Mapping[str, str]


def advance(conn: Writing, connection: str, stream: str, progress: Progress) -> None:
    """Moves the cursor with the data it stands for; the watermark and the newest stamp never go back."""
    conn.execute(
        sa.text(
            "update process.stream set cursor = coalesce(cast(:cursor as jsonb), cursor),"
            " complete_until = greatest(complete_until, :complete_until),"
            " newest_changed_at = greatest(newest_changed_at, :newest),"
            " records_total = records_total + :records, fields_seen = fields_seen || cast(:fields as jsonb)"
            " where connection = :connection and stream = :stream"
        ),
        {
            "connection": connection,
            "stream": stream,
            "cursor": None if progress.cursor is None else json.dumps(dict(progress.cursor)),
            "complete_until": progress.complete_until,
            "newest": progress.newest_changed_at,
            "records": progress.records,
            "fields": json.dumps(dict(progress.fields_seen)),
        },
    )


def succeeded(conn: Writing, connection: str, stream: str, *, now: datetime, every: timedelta) -> None:
    """The pull reached the end: the stream is live (from its first success on), healthy, and due again after `every`."""
    conn.execute(
        sa.text(
            "update process.stream set last_success_at = :now, preparing = null, live_since = coalesce(live_since, :now),"
            " consecutive_failures = 0, last_error = null, last_error_kind = null, breaker_open_until = null,"
            " next_attempt_at = clock_timestamp() + :every, lease_until = null, lease_owner = null"
            " where connection = :connection and stream = :stream"
        ),
        {"connection": connection, "stream": stream, "now": now, "every": every},
    )


def preparing(conn: Writing, connection: str, stream: str, pending: Pending) -> None:
    """The system needs time: the cursor says what was asked for, and the stream is due again when it may be ready."""
    conn.execute(
        sa.text(
            "update process.stream set cursor = cast(:cursor as jsonb), preparing = :words, consecutive_failures = 0, last_error = null,"
            " last_error_kind = null, breaker_open_until = null, next_attempt_at = clock_timestamp() + :wait,"
            " lease_until = null, lease_owner = null where connection = :connection and stream = :stream"
        ),
        {
            "connection": connection,
            "stream": stream,
            "cursor": json.dumps(dict(pending.cursor)),
            "words": pending.words[:500],
            "wait": timedelta(seconds=pending.seconds),
        },
    )


def prepared(conn: Reading) -> list[tuple[str, str]]:
    """(connection, stream) of what was being prepared and may be ready by now: asked again without waiting for the clock's next tick."""
    rows = conn.execute(
        sa.text(
            "select connection, stream from process.stream where preparing is not null and not is_paused"
            " and next_attempt_at <= clock_timestamp() order by connection, stream"
        )
    )
    return [(str(row.connection), str(row.stream)) for row in rows]


def note_calls(conn: Writing, connection: str, stream: str, used: int, limit: int | None) -> None:
    """Writes down how many calls of how many the connection has used, as its system or we count them."""
    _note_budget(conn, connection, stream, {"used": used, "limit": limit})


def note_count(conn: Writing, connection: str, stream: str, counted: int, day: str) -> None:
    """Writes down our own count of the connection's calls on `day` (ISO, UTC), for the process that comes after this one."""
    _note_budget(conn, connection, stream, {"counted": counted, "day": day})


def _note_budget(conn: Writing, connection: str, stream: str, part: Mapping[str, object]) -> None:
    conn.execute(
        sa.text("update process.stream set budget = budget || cast(:part as jsonb) where connection = :connection and stream = :stream"),
        {"connection": connection, "stream": stream, "part": json.dumps(dict(part))},
    )


def counted(conn: Reading, connection: str, day: str) -> int:
    """Our own count of the connection's calls on `day` (ISO, UTC) as it was last written down; 0 when it was not."""
    return int(
        conn.execute(
            sa.text(
                "select coalesce(max((budget ->> 'counted')::int), 0) from process.stream"
                " where connection = :connection and budget ->> 'day' = :day"
            ),
            {"connection": connection, "day": day},
        ).scalar_one()
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """How a pull ended badly: the error in words, its kind, how long to wait, and whether the stream counts as delayed."""

    detail: str
    kind: str
    wait: timedelta
    delayed: bool
    pause: str | None = None


def failed(conn: Writing, connection: str, stream: str, failure: Failure) -> None:
    """Writes down why the pull failed and when it may be tried again; a stream that only a person can mend is paused."""
    values: dict[str, Any] = {
        "connection": connection,
        "stream": stream,
        "detail": failure.detail[:2000],
        "kind": failure.kind,
        "wait": failure.wait,
        "delayed": failure.delayed,
        "pause": failure.pause,
    }
    conn.execute(
        sa.text(
            "update process.stream set last_error = :detail, last_error_kind = :kind,"
            " consecutive_failures = consecutive_failures + 1, next_attempt_at = clock_timestamp() + :wait,"
            " breaker_open_until = case when :delayed then clock_timestamp() + :wait else breaker_open_until end,"
            " is_paused = is_paused or cast(:pause as text) is not null,"
            " paused_reason = coalesce(cast(:pause as text), paused_reason), lease_until = null, lease_owner = null"
            " where connection = :connection and stream = :stream"
        ),
        values,
    )


def pause(conn: Writing, connection: str, stream: str | None, reason: str) -> int:
    """Pauses one stream, or all of a connection (None); returns how many. Nothing is pulled until `resume`."""
    return conn.execute(
        sa.text(
            "update process.stream set is_paused = true, paused_reason = :reason"
            " where connection = :connection and stream = coalesce(cast(:stream as text), stream)"
        ),
        {"connection": connection, "stream": stream, "reason": reason},
    ).rowcount


def resume(conn: Writing, connection: str, stream: str | None) -> int:
    """Undoes `pause`, forgets past failures and makes the streams due now; returns how many."""
    return conn.execute(
        sa.text(
            "update process.stream set is_paused = false, paused_reason = null, consecutive_failures = 0,"
            " next_attempt_at = null, breaker_open_until = null"
            " where connection = :connection and stream = coalesce(cast(:stream as text), stream)"
        ),
        {"connection": connection, "stream": stream},
    ).rowcount


def set_paused(conn: Writing, connection: Connection, stream: str | None, *, paused: bool, reason: str) -> int:
    """Pauses or resumes one stream of `connection`, or all (None); returns how many rows that concerned."""
    if paused:
        return pause(conn, connection.name, stream, reason)
    return resume(conn, connection.name, stream)


@dataclass(frozen=True, slots=True)
class Line:
    """A stream in a list of them: its settings, how far it is, and its last word. Times as in State."""

    connection: str
    system: str
    region: str
    stream: str
    state: str
    every_seconds: int
    freshness_minutes: int
    last_success_at: datetime | None
    newest_changed_at: datetime | None
    complete_until: datetime | None
    records_total: int
    last_error: str | None
    words: str | None


def overview(engine: sa.Engine, landscape: Landscape, *, now: datetime) -> list[Line]:
    """Every stream of every configured connection that was ever registered; one that never was says `never pulled`.

    `now` is business time: a stream whose last success is older than its freshness target is `late`.
    """
    with reading(engine) as conn:
        rows = conn.execute(sa.text("select * from process.stream order by connection, stream")).all()
    lines: list[Line] = []
    for connection in landscape.connections:
        mine = [row for row in rows if row.connection == connection.name]
        for row in mine:
            settings = connection.stream(row.stream)
            words = row.paused_reason if row.is_paused else row.last_error or row.preparing
            lines.append(
                Line(
                    connection=connection.name,
                    system=connection.system,
                    region=connection.region,
                    stream=row.stream,
                    state=_state_of(row, now - timedelta(minutes=settings.freshness_minutes)),
                    every_seconds=settings.every_seconds,
                    freshness_minutes=settings.freshness_minutes,
                    last_success_at=row.last_success_at,
                    newest_changed_at=row.newest_changed_at,
                    complete_until=row.complete_until,
                    records_total=row.records_total,
                    last_error=row.last_error,
                    words=words,
                )
            )
        if not mine:
            settings = connection.defaults
            lines.append(
                Line(connection.name, connection.system, connection.region, "", "never pulled", settings.every_seconds,
                     settings.freshness_minutes, None, None, None, 0, None, None)
            )  # fmt: skip
    return lines


def _state_of(row: Any, fresh_after: datetime) -> str:
    if row.is_paused:
        return "paused"
    if row.last_error is not None:
        return "failing"
    if row.preparing is not None:
        return "preparing"
    if row.last_success_at is None:
        return "never pulled" if row.records_total == 0 else "first pull"
    return "late" if row.last_success_at < fresh_after else "live"
