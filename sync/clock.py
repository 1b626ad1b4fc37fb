"""When: a clock in every worker whose jobs only put work into the queue. A tick is a row, so that each happens once however many
workers tick; a worker that slept makes one catch-up tick, not hundreds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import sqlalchemy as sa
import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from db.engine import Writing, writing
from sync.connections import Connection
from sync.queue import defer_house, defer_pull, defer_refresh

SWEEP_SECONDS = 5
REFRESH_SECONDS = 60
VERIFY_SECONDS = 3600
TIDY_SECONDS = 6 * 3600
_log = structlog.get_logger(__name__)

Put = Callable[[Writing], None]


def scheduled_at(wall: datetime, every: timedelta) -> datetime:
    """The tick that `wall` (UTC) belongs to: the last whole multiple of `every` since 1970."""
    seconds = max(int(every.total_seconds()), 1)
    return datetime.fromtimestamp(int(wall.timestamp()) // seconds * seconds, UTC)


def tick(engine: sa.Engine, job: str, every: timedelta, put: Put) -> bool:
    """Puts the job's work into the queue if no worker has done so for this tick; true if this one did."""
    with writing(engine) as conn:
        wall = conn.scalar(sa.text("select clock_timestamp()"))
        fresh = conn.execute(
            sa.text("insert into process.tick (job, scheduled_at) values (:job, :at) on conflict do nothing"),
            {"job": job, "at": scheduled_at(wall, every)},
        ).rowcount
        if fresh:
            put(conn)
    return bool(fresh)


def start(engine: sa.Engine, pulls: Sequence[tuple[Connection, str]]) -> BackgroundScheduler:
    """A running clock for these (connection, stream) and for the house's own jobs; `shutdown()` stops it."""
    scheduler = BackgroundScheduler(
        timezone="UTC",
        executors={"default": ThreadPoolExecutor(2)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for connection, stream in pulls:
        seconds = connection.stream(stream).every_seconds
        _every(scheduler, engine, f"pull:{connection.name}:{stream}", seconds, partial(defer_pull, connection=connection, stream=stream))
    _every(scheduler, engine, "sweep", SWEEP_SECONDS, partial(defer_house, task="sweep"))
    _every(scheduler, engine, "refresh", REFRESH_SECONDS, defer_refresh)
    _every(scheduler, engine, "verify", VERIFY_SECONDS, partial(defer_house, task="verify"))
    _every(scheduler, engine, "tidy", TIDY_SECONDS, partial(defer_house, task="tidy"))
    scheduler.start()
    return scheduler


def _every(scheduler: BackgroundScheduler, engine: sa.Engine, job: str, seconds: int, put: Put) -> None:
    every = timedelta(seconds=seconds)

    def run() -> None:
        try:
            tick(engine, job, every, put)
        except sa.exc.OperationalError:
            _log.warning("the clock could not reach the database", job=job)

    scheduler.add_job(run, IntervalTrigger(seconds=seconds, timezone="UTC"), id=job, next_run_time=datetime.now(UTC))
