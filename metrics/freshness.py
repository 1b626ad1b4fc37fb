"""How old what we see is: freshness of every stream against its target, and how long a change took to become visible.

Freshness is asked with a clock, never at the moment of an arrival: a silent source, a stopped scheduler and a skipped run all show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from db.engine import Reading, Writing, driver
from metrics.frames import EVERYTHING, MOMENT, Question, Where, ask, run

Health = Literal["good", "warning", "bad", "unknown"]
LAGS_EVERY = timedelta(hours=1)
LAGS_OVER = timedelta(days=7)
WARNING_AT = 0.8
"""The share of its target age at which a stream is no longer simply good."""

STREAMS = Question(
    "streams",
    {
        "connection": pl.String,
        "stream": pl.String,
        "region": pl.String,
        "newest_changed_at": MOMENT,
        "complete_until": MOMENT,
        "last_success_at": MOMENT,
        "live_since": MOMENT,
        "next_attempt_at": MOMENT,
        "failures": pl.Int64,
        "breaker_open_until": MOMENT,
        "is_paused": pl.Boolean,
        "last_error": pl.String,
        "last_error_kind": pl.String,
        "records_total": pl.Int64,
        "open_exceptions": pl.Int64,
    },
)
LAGS = Question(
    "visibility_lags",
    {"source": pl.String, "entity": pl.String, "records": pl.Int64, "p50": pl.Float64, "p95": pl.Float64, "longest": pl.Float64},
)


@dataclass(frozen=True, slots=True)
class Freshness:
    """One stream's age at a moment against its target, in seconds, and the words that say why."""

    health: Health
    age_seconds: int | None
    target_seconds: int
    words: str


def judge(
    *,
    now: datetime,
    target: timedelta,
    newest_data_at: datetime | None,
    complete_until: datetime | None,
    is_paused: bool = False,
    failures: int = 0,
) -> Freshness:
    """The freshness of a stream at `now`. Its age counts from the moment up to which everything changed is known to be here: a
    source that had nothing new is fresh as long as it is asked. A backfill of old data moves neither moment to now.
    """
    seen = max((moment for moment in (newest_data_at, complete_until) if moment is not None), default=None)
    seconds = int(target.total_seconds())
    if seen is None:
        words = "paused before anything came" if is_paused else "failing: nothing came yet" if failures else "nothing came yet"
        return Freshness("unknown" if not failures else "bad", None, seconds, words)
    age = max(0, int((now - seen).total_seconds()))
    if is_paused:
        return Freshness("warning" if age <= seconds else "bad", age, seconds, f"paused, {_span(age)} old")
    if age > seconds:
        why = f"; {failures} failures in a row" if failures else ""
        return Freshness("bad", age, seconds, f"{_span(age)} old, target {_span(seconds)}{why}")
    if failures or age > WARNING_AT * seconds:
        return Freshness("warning", age, seconds, f"{_span(age)} old{f'; {failures} failures in a row' if failures else ''}")
    return Freshness("good", age, seconds, f"{_span(age)} old")


def _span(seconds: int) -> str:
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            whole, rest = divmod(seconds, length)
            return f"{whole} {unit}" if unit != "h" or rest < 60 else f"{whole} h {rest // 60} min"
    return f"{seconds} s"


def streams(conn: Reading, *, where: Where = EVERYTHING) -> pl.DataFrame:
    """Every stream as its log has it (frame STREAMS), with its open exceptions, by connection and stream."""
    return ask(conn, STREAMS, where=where).sort("connection", "stream")


def lags(conn: Reading, *, since: datetime, where: Where = EVERYTHING) -> pl.DataFrame:
    """Visibility lag by source and entity, over records that arrived live since `since`: records, p50, p95, longest in seconds.

    Backfilled history is no lag. A source that stamps only dates shows a lag of up to a day: its resolution.
    """
    return ask(conn, LAGS, where=where, since=since).sort("source", "entity")


def feeds(
    conn: Reading, *, now: datetime, targets: Mapping[tuple[str, str], timedelta], default: timedelta = timedelta(hours=1)
) -> pl.DataFrame:
    """`streams` with their judgement: health, age_seconds, target_seconds, words; targets by (connection, stream)."""
    frame = streams(conn)
    judged = [
        judge(
            now=now,
            target=targets.get((row["connection"], row["stream"]), default),
            newest_data_at=row["newest_changed_at"],
            complete_until=row["complete_until"],
            is_paused=row["is_paused"],
            failures=row["failures"],
        )
        for row in frame.iter_rows(named=True)
    ]
    return frame.with_columns(
        pl.Series("health", [one.health for one in judged], pl.String),
        pl.Series("age_seconds", [one.age_seconds for one in judged], pl.Int64),
        pl.Series("target_seconds", [one.target_seconds for one in judged], pl.Int64),
        pl.Series("words", [one.words for one in judged], pl.String),
    )


def put_lags(conn: Writing, *, now: datetime) -> bool:
    """Keep the visibility lag of every stream over the last week, at most every LAGS_EVERY; whether it was computed."""
    row = driver(conn).execute("select max(computed_at) from measure.lag").fetchone()
    if row is not None and row[0] is not None and timedelta(0) <= now - row[0] < LAGS_EVERY:
        return False
    driver(conn).execute("delete from measure.lag")
    run(conn, "put_lags", since=now - LAGS_OVER, now=now)
    return True


def watermark(conn: Reading) -> datetime | None:
    """The moment up to which every stream that went live is complete: figures of S(T) are settled for T up to it, else settling.

    None while no stream is live. A drop of files says nothing of its own completeness: it is complete up to the last time that the
    folder was read to its end. Paused streams do not hold it back; they show in the freshness strip.
    """
    row = driver(conn).execute(_WATERMARK).fetchone()
    found: datetime | None = row[0] if row is not None else None
    return found


_WATERMARK = """
select min(case when drop.is_drop then greatest(s.complete_until, s.last_success_at) else coalesce(s.complete_until, s.live_since) end)
from process.stream s cross join lateral (
  select exists (select from raw.page p where p.connection = s.connection and p.stream = s.stream and p.kind = 'file') as is_drop
) drop
where s.live_since is not null and not s.is_paused
"""


History = Literal["none", "filling", "complete"]


def history(conn: Reading) -> History:
    """How much of the past is here: none (no stream ever answered), filling (a stream that answers has not yet been read to its end),
    or complete. While it fills, the facts are half a history: nothing may be concluded from them that stays.
    """
    row = (
        driver(conn)
        .execute(
            "select bool_or(live_since is not null), bool_or(live_since is null and not is_paused and consecutive_failures = 0)"
            " from process.stream"
        )
        .fetchone()
    )
    if row is None or row[0] is None:
        return "none"
    return "filling" if row[1] else "complete" if row[0] else "none"
