"""The feeds and connections as a person sees them: fresh or not, why, and what happens next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from app.desk import ConnectionView, EventLine, Feed, Health, RunLine
from app.live import files
from db.engine import Reading
from sync.connections import Connection, Landscape
from sync.systems import registry

_STREAMS = """
select s.*, coalesce(x.open, 0) as open_exceptions, l.p50 as lag_p50, l.p95 as lag_p95,
  s.breaker_open_until > clock_timestamp() as breaker_open, clock_timestamp() as wall,
  exists (select from process.run r where r.connection = s.connection and r.stream = s.stream and r.state = 'running') as is_running
from process.stream s
left join (select connection, stream, count(*) as open from process.exception
           where state not in ('resolved', 'dismissed') group by 1, 2) x on x.connection = s.connection and x.stream = s.stream
left join measure.lag l on l.connection = s.connection and l.stream = s.stream
order by s.connection, s.stream
"""

_RUNS = """
select r.connection, r.stream, r.trigger, r.started_at, r.ended_at, r.state, r.pages, r.records, r.error, b.quarantined
from (select r.*, row_number() over (partition by r.connection order by r.started_at desc) as place from process.run r
      where r.started_at > :since) r
left join lateral (select coalesce(sum(b.quarantined), 0) as quarantined from process.batch b where b.run_id = r.id) b on true
where r.place <= 12 order by r.connection, r.started_at desc
"""

_EVENTS = """
select connection, stream, max(noted_at) as last_at, count(*) filter (where settled_at is null) as waiting
from (select h.connection, h.stream, h.noted_at, h.settled_at, h.id from process.hint h where h.settled_at is null
      union select h.connection, h.stream, h.noted_at, h.settled_at, h.id
      from (select * from process.hint order by id desc limit 2000) h) h
group by 1, 2 order by 1, 2
"""
"""The newest events and all that wait: bounded, for the page asks every few seconds."""


def feeds(conn: Reading, landscape: Landscape, *, now: datetime) -> list[Feed]:
    """Every stream of every configured connection, worst first; one that never ran is there too."""
    rows = {(row.connection, row.stream): row for row in conn.execute(sa.text(_STREAMS))}
    known = {connection.name: connection for connection in landscape.connections}
    found = [_feed(row, known[row.connection], now) for row in rows.values() if row.connection in known]
    waiting = [connection for connection in landscape.connections if not any(name == connection.name for name, _ in rows)]
    found += [_never_ran(connection) for connection in waiting]
    order: dict[Health, int] = {"bad": 0, "warning": 1, "unknown": 2, "good": 3}
    return sorted(found, key=lambda feed: (order[feed.health], feed.connection, feed.stream))


def oldest(feeds: Sequence[Feed]) -> str | None:
    """The feed that was confirmed longest ago, in words: what a figure rests on is no newer than that."""
    aged = [feed for feed in feeds if feed.age_seconds is not None and not feed.is_paused]
    if not aged:
        return None
    last = max(aged, key=lambda feed: feed.age_seconds or 0)
    return f"{last.connection} {last.stream.replace('_', ' ')}, {_spoken(last.age_seconds or 0)} ago"


def connections(conn: Reading, landscape: Landscape, *, now: datetime) -> list[ConnectionView]:
    """Every connection with its feeds, latest runs, files and events."""
    by_feed: dict[str, list[Feed]] = {}
    for feed in feeds(conn, landscape, now=now):
        by_feed.setdefault(feed.connection, []).append(feed)
    runs = _grouped(conn.execute(sa.text(_RUNS), {"since": datetime(1970, 1, 1, tzinfo=UTC)}))
    told = _grouped(conn.execute(sa.text(_EVENTS)))
    came = files.of_connections(conn, landscape.connections, now=now)
    return [
        ConnectionView(
            name=connection.name,
            system=registry.name(connection),
            region=connection.region,
            owner=connection.owner,
            criticality=connection.criticality,
            feeds=by_feed.get(connection.name, []),
            runs=[_run(row) for row in runs.get(connection.name, [])],
            files=came[connection.name],
            events=[EventLine(row.stream, row.last_at, row.waiting) for row in told.get(connection.name, [])],
        )
        for connection in landscape.connections
    ]


def _grouped(rows: Any) -> Mapping[str, Sequence[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.connection, []).append(row)
    return found


def _feed(row: Any, connection: Connection, now: datetime) -> Feed:
    settings = connection.stream(row.stream)
    target = settings.freshness_minutes * 60
    seen = row.last_success_at
    age = int((now - seen).total_seconds()) if seen is not None else None
    health, words = _health(row, age, target)
    budget = row.budget or {}
    return Feed(
        connection=row.connection,
        system=connection.system,
        stream=row.stream,
        region=row.region,
        health=health,
        words=words,
        newest_data_at=row.newest_changed_at,
        last_success_at=row.last_success_at,
        next_attempt_at=row.next_attempt_at,
        age_seconds=age,
        target_seconds=target,
        lag_p50_seconds=float(row.lag_p50) if row.lag_p50 is not None else None,
        lag_p95_seconds=float(row.lag_p95) if row.lag_p95 is not None else None,
        records_total=row.records_total,
        failures=row.consecutive_failures,
        breaker_open=bool(row.breaker_open),
        is_paused=row.is_paused,
        last_error=row.last_error,
        budget_used=budget.get("used"),
        budget_limit=budget.get("limit"),
        open_exceptions=row.open_exceptions,
    )


def _health(row: Any, age: int | None, target: int) -> tuple[Health, str]:
    """State in a word and words: paused and broken streams say so, a silent one shows by its age alone."""
    if row.is_paused:
        return "warning", f"paused: {row.paused_reason or 'no reason given'}"
    if row.last_error and row.breaker_open:
        return "bad", f"circuit open after {row.consecutive_failures} failures: {row.last_error}"
    if row.last_error:
        return ("bad" if age is None or age > target else "warning"), row.last_error
    if row.preparing:
        return ("unknown" if age is None else "bad" if age > target else "good"), row.preparing
    if age is None:
        return "unknown", "first pull is running" if row.is_running else "not pulled yet"
    if age > target:
        return "bad", f"nothing new confirmed for {_spoken(age)}; the target is {_spoken(target)}"
    return "good", f"confirmed {_spoken(age)} ago"


def _spoken(seconds: int) -> str:
    if seconds < 120:
        return f"{max(seconds, 0)} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 172800 else f"{seconds // 86400} days"


def _never_ran(connection: Connection) -> Feed:
    missing = connection.missing()
    words = f"waits for {', '.join(missing)} in the environment" if missing else "not pulled yet"
    return Feed(
        connection=connection.name,
        system=connection.system,
        stream="-",
        region=connection.region,
        health="unknown",
        words=words,
        newest_data_at=None,
        last_success_at=None,
        next_attempt_at=None,
        age_seconds=None,
        target_seconds=connection.defaults.freshness_minutes * 60,
        lag_p50_seconds=None,
        lag_p95_seconds=None,
        records_total=0,
        failures=0,
        breaker_open=False,
        is_paused=False,
        last_error=None,
        budget_used=None,
        budget_limit=None,
        open_exceptions=0,
    )


def _run(row: Any) -> RunLine:
    return RunLine(
        stream=row.stream,
        trigger=row.trigger,
        started_at=row.started_at,
        ended_at=row.ended_at,
        state=row.state,
        pages=row.pages,
        records=row.records,
        quarantined=int(row.quarantined or 0),
        error=row.error,
    )
