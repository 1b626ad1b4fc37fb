"""What runs in the background, one task each. Jobs are coarse: a stream, a region, a connection.

Every task can be run twice without harm and is deferred again by the sweep as long as there is work for it, so a lost job delays and
never loses anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import procrastinate
import psycopg.conninfo
import sqlalchemy as sa
import structlog

from db.clock import Clock
from db.engine import Database, Writing, reading, writing
from sync import deferral, delivery, effects, handlers, hints, housekeeping, process_region, reprocessing, rereading, streams
from sync.connections import ConfigError, Connection, Landscape
from sync.ports import Source
from sync.promotion_batch import Outcome
from sync.pull import PullResult, pull_stream
from sync.queue import defer_pull, defer_refresh
from sync.refreshing import refresh_measures
from sync.systems.registry import system

_log = structlog.get_logger(__name__)


@dataclass
class Shop:
    """What the tasks work with. Sources are kept open between pulls, one for each stream, and made anew after a failure."""

    database: Database
    landscape: Landscape
    clock: Clock
    sources: dict[tuple[str, str], Source] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def source(self, connection: Connection, stream: str) -> Source:
        """The open source for this stream; the queue's lock lets one job at a time use it."""
        with self._guard:
            kept = self.sources.get((connection.name, stream))
        if kept is None:
            kept = system(connection).make_source(connection, self.landscape)
            with self._guard:
                self.sources[connection.name, stream] = kept
        return kept

    def drop(self, connection: str, stream: str) -> None:
        """Lets go of a source that failed."""
        with self._guard:
            kept = self.sources.pop((connection, stream), None)
        if kept is not None:
            kept.close()

    def close(self) -> None:
        """Lets go of every source."""
        for name, stream in list(self.sources):
            self.drop(name, stream)


def pull(shop: Shop, connection: str, stream: str, trigger: str) -> PullResult:
    """Pulls one stream and starts what follows from each commit."""
    configured = shop.landscape.connection(connection)
    source = shop.source(configured, stream)

    def follow(outcome: Outcome) -> None:
        after_commit(shop.database.engine, outcome)

    noted = _hints(shop, connection, stream)
    result = pull_stream(
        shop.database, configured, shop.landscape, source, stream, clock=shop.clock, trigger=trigger, full=noted.whole, on_commit=follow
    )
    if noted.ids and result.state in ("done", "preparing"):
        named = rereading.Named(shop.database, configured, shop.landscape, source, stream, shop.clock, follow)
        result = rereading.reread(named, noted, result)
    if result.state == "failed":
        _log.warning("pull failed", connection=connection, stream=stream, error=result.error)
        shop.drop(connection, stream)
    if result.new_customers:
        reprocessing.retry_unknown_customers(shop.database.engine, configured, shop.landscape, source, now=shop.clock.now())
    return result


def _hints(shop: Shop, connection: str, stream: str) -> hints.Open:
    with reading(shop.database.engine) as conn:
        return hints.open_hints(conn, connection, stream)


def after_commit(engine: sa.Engine, outcome: Outcome) -> None:
    """What was committed is refreshed and decided soon. In a transaction of its own, after the commit, so that whoever runs sees it."""
    if not outcome.touched and not outcome.events:
        return
    with writing(engine) as conn:
        if outcome.touched:
            defer_refresh(conn)
        else:
            _defer_rules(conn)


def _defer_rules(conn: Writing) -> None:
    for region in process_region.regions_due(conn):
        deferral.rules(conn, region)


def refresh(shop: Shop) -> None:
    """Refreshes the measures, then lets the rules of every region with news decide on them."""
    refresh_measures(shop.database.engine, shop.landscape, now=shop.clock.now())
    with writing(shop.database.engine) as conn:
        _defer_rules(conn)


def sweep(shop: Shop) -> None:
    """Defers whatever has work and no job: events, effects, touched measures, what a system has prepared; wakes what was put off until
    now.
    """
    now = shop.clock.now()
    with writing(shop.database.engine) as conn:
        housekeeping.tell_due_invoices(conn, now=now)
        housekeeping.wake(conn, now=now)
        for connection in effects.connections_due(conn):
            deferral.deliver(conn, connection, region=shop.landscape.connection(connection).region)
        _defer_rules(conn)
        for command_id in housekeeping.stranded_commands(conn):
            deferral.command(conn, command_id)
        _take_up(shop, conn)
        if housekeeping.has_touched(conn):
            defer_refresh(conn)


def _take_up(shop: Shop, conn: Writing) -> None:
    """Pulls what a system has had the time to prepare; the stream's own tick may be hours away."""
    declared = {each.name: each for each in shop.landscape.connections}
    for name, stream in streams.prepared(conn):
        connection = declared.get(name)
        if connection is not None and connection.stream(stream).enabled:
            defer_pull(conn, connection, stream)


def make_app(shop: Shop) -> procrastinate.App:
    """The procrastinate application over `shop`'s database, with every task there is."""
    connector = procrastinate.PsycopgConnector(conninfo=_conninfo(shop.database.url), min_size=1, max_size=5)
    app = procrastinate.App(connector=connector)
    patient = procrastinate.RetryStrategy(max_attempts=5, wait=2, exponential_wait=2)
    for name, run in _tasks(shop).items():
        # A command is a person's: it is tried again by itself. Everything else is deferred again by the clock or the sweep.
        app.task(name=name, retry=patient if name == "run_command" else False)(run)
    return app


def _conninfo(url: str) -> str:
    """The database's address in the form that psycopg's own pool takes."""
    parsed = sa.make_url(url)
    parts = {"user": parsed.username, "password": parsed.password, "port": parsed.port, "dbname": parsed.database, "host": parsed.host}
    given = {name: str(value) for name, value in parts.items() if value is not None}
    options = {str(name): str(value) for name, value in parsed.query.items()}
    return psycopg.conninfo.make_conninfo("", **given, **options, application_name="tidegate-queue")


def _tasks(shop: Shop) -> dict[str, Callable[..., None]]:
    """Every task by its name: the contents page of the background."""

    def pull_stream_task(connection: str, stream: str, trigger: str = "clock") -> None:
        try:
            pull(shop, connection, stream, trigger)
        except ConfigError as error:
            _log.warning("not configured", connection=connection, stream=stream, error=str(error))

    def run_rules(region: str) -> None:
        process_region.run(shop.database, shop.landscape, region, shop.clock)

    def deliver_effects(connection: str) -> None:
        delivery.run(shop.database, shop.landscape, connection, shop.clock)

    def run_command(command_id: int) -> None:
        handlers.run_command(shop.database, shop.landscape, command_id, shop.clock)

    def refresh_task() -> None:
        refresh(shop)

    def sweep_task() -> None:
        sweep(shop)

    def verify() -> None:
        housekeeping.verify(shop.database, shop.clock)

    def tidy() -> None:
        with writing(shop.database.engine) as conn:
            housekeeping.tidy(conn, now=shop.clock.now())

    return {
        "pull_stream": pull_stream_task,
        "run_rules": run_rules,
        "deliver_effects": deliver_effects,
        "run_command": run_command,
        "refresh_measures": refresh_task,
        "sweep": sweep_task,
        "verify": verify,
        "tidy": tidy,
    }
