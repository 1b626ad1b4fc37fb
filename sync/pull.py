"""One pull of one stream: lease, fetch, map, and write in batches of which each is one transaction with its cursor."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

import psycopg
import sqlalchemy as sa
import structlog

from db.bulk import Contended
from db.clock import Clock
from db.engine import Writing, writing
from sync import crash, expectations, http_gate, leases, pull_batch, quarantine, runs, streams
from sync.connections import Connection, Landscape
from sync.errors import MAX_ATTEMPTS, AuthError, DataError, Kind, SourceError, TransientError, decide_retry
from sync.ports import ControlTotal, Expecting, Filing, Metered, Page, Pending, Source, Stream
from sync.promotion_batch import Counts, Outcome
from sync.pull_pipeline import Arrived, Pipeline

FIRST_BATCH_PAGES = 2
BATCH_PAGES = 10
"""A pull's first batch is small, so that writing begins while most pages are still on their way; each next is twice as large, up to this."""
BATCH_RECORDS = 20_000
WRITE_ATTEMPTS = 4
DELAYED_AFTER = 3
RESTS = {"transient": timedelta(seconds=60), "quota": timedelta(seconds=60)}
REST = timedelta(minutes=5)
"""How long a stream rests once its tries are used up, by the kind of its error: it is tried once after each rest."""

NOTHING = Counts()
State = Literal["done", "preparing", "busy", "paused", "not_due", "waiting", "failed"]
_log = structlog.get_logger(__name__)


class HasEngine(Protocol):
    """An open database."""

    @property
    def engine(self) -> sa.Engine: ...


@dataclass(frozen=True, slots=True)
class PullResult:
    """How a pull ended. `waiting`: the customers of this source have to come first. `preparing`: the
    system needs time, asked again after `pending.seconds`. `error` is in words, without secrets.
    """

    connection: str
    stream: str
    state: State
    counts: Counts = NOTHING
    pages: int = 0
    batches: int = 0
    events: int = 0
    touched: int = 0
    causes: Mapping[str, int] = field(default_factory=dict)
    control_totals: tuple[ControlTotal, ...] = ()
    error: str | None = None
    error_kind: Kind | None = None
    refused: str | None = None
    """The words of the first file or page that could not be believed as a whole."""
    new_customers: int = 0
    pending: Pending | None = None


def owner_name() -> str:
    """Who holds a lease: machine, process and thread."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"


def pull_stream(
    database: HasEngine,
    connection: Connection,
    landscape: Landscape,
    source: Source,
    stream: str,
    *,
    clock: Clock,
    trigger: str,
    full: bool = False,
    pages: Iterable[Page] | None = None,
    beside: bool = False,
    on_commit: Callable[[Outcome], None] | None = None,
) -> PullResult:
    """Pulls `stream` until the source has no more for now; says how it went, and raises only for faults of our own database.

    `trigger` says who asked: `clock` waits for a stream's next attempt, others do not, but no one calls a system before the time
    that it named. `full` reads from the beginning. `pages` replaces the fetching, for a file handed in by a person; the cursor then
    stays. `beside`: the pages are single records read beside the stream's own pull; that they fail is said in the result only, and the
    stream stands as before. `on_commit` is called after each commit.
    """
    offered = {each.name: each for each in source.streams()}
    if stream not in offered:
        raise KeyError(f"connection {connection.name} offers no stream {stream!r}; it has: {', '.join(offered)}")
    with writing(database.engine) as conn:
        wanted = [each for each in offered.values() if each.name == stream or connection.stream(each.name).enabled]
        streams.register(conn, connection, wanted)
        state = streams.known(conn, connection.name, stream)
        refusal = None if pages is not None else _not_now(conn, connection, state, offered, trigger)
        lease = None
        if refusal is None:
            lease = leases.acquire(conn, connection.name, stream, owner_name(), now=clock.now())
            refusal = "busy" if lease is None else None
            _recall_calls(conn, connection)
    if lease is None:
        return PullResult(connection.name, stream, refusal or "busy")
    handed = pages is not None
    job = _Pull(
        database.engine,
        connection=connection,
        source=source,
        stream=offered[stream],
        lease=lease,
        reporting_currency=landscape.reporting_currency,
        clock=clock,
        on_commit=on_commit,
        handed=handed,
        beside=beside,
    )
    return job.run(state, trigger, None if full else state.cursor, pages)


def _recall_calls(conn: Writing, connection: Connection) -> None:
    """The day's calls outlive the process that made them: a restarted worker has no new budget."""
    if connection.daily_call_budget is not None:
        wall = datetime.now(UTC)
        http_gate.recall(connection.name, streams.counted(conn, connection.name, wall.date().isoformat()), wall)


def _not_now(conn: Writing, connection: Connection, state: streams.State, offered: Mapping[str, Stream], trigger: str) -> State | None:
    """Why the stream is not to be pulled now, or None."""
    if state.is_paused:
        return "paused"
    if state.waits and (trigger == "clock" or state.last_error_kind == "quota"):
        return "not_due"
    if pull_batch.needs_customers(connection, offered.values(), state.stream):
        first = [each.name for each in offered.values() if "customer" in each.entities]
        known = [streams.state(conn, connection.name, name) for name in first]
        if all(each is None or each.live_since is None for each in known):
            return "waiting"
    return None


class _Pull:
    """One pull under one lease."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        connection: Connection,
        source: Source,
        stream: Stream,
        lease: leases.Lease,
        reporting_currency: str,
        clock: Clock,
        on_commit: Callable[[Outcome], None] | None,
        handed: bool,
        beside: bool,
    ) -> None:
        self._engine = engine
        self._connection = connection
        self._source = source
        self._stream = stream
        self._clock = clock
        self._lease = lease
        self._on_commit = on_commit
        self._handed = handed
        self._beside = beside
        self._writer = pull_batch.Writer(
            connection, source.streams(), stream, lease, reporting_currency=reporting_currency, handed=handed, beside=beside
        )
        self._result = PullResult(connection.name, stream.name, "done")
        self._renewed = time.monotonic()
        self._told = False
        """What stops the pull stands in the exception queue already."""

    def run(self, state: streams.State, trigger: str, cursor: Mapping[str, object] | None, pages: Iterable[Page] | None) -> PullResult:
        """Pulls to the end or to the first failure, and writes down which it was."""
        with writing(self._engine) as conn:
            run_id = runs.start(conn, self._connection, self._stream.name, trigger, self._clock.now())
        self._writer.begin(run_id, state)
        source_pages = pages if pages is not None else self._source.pull(self._stream.name, cursor, now=self._clock.now())
        pipeline = Pipeline(self._source, self._stream.name, source_pages, atomic=self._stream.atomic)
        try:
            self._write_all(pipeline)
        except leases.Fenced as fenced:
            _log.warning("fenced", connection=self._connection.name, stream=self._stream.name, detail=str(fenced))
            return self._close_run(run_id, "abandoned", replace(self._result, state="busy", error=str(fenced)))
        except SourceError as error:
            return self._fail(run_id, state, error)
        except (ConnectionError, TimeoutError) as error:
            return self._fail(run_id, state, TransientError(f"{type(error).__name__}: {error}", connection=self._connection.name))
        except sa.exc.SQLAlchemyError:
            raise
        except Exception as error:
            _log.exception("a pull broke", connection=self._connection.name, stream=self._stream.name)
            return self._fail(run_id, state, TransientError(f"{type(error).__name__}: {error}", connection=self._connection.name))
        finally:
            pipeline.close()
        return self._finish(run_id, state)

    def _write_all(self, pipeline: Pipeline) -> None:
        pending: list[Arrived] = []
        records, most = 0, FIRST_BATCH_PAGES
        try:
            for item in pipeline:
                if isinstance(item, Pending):
                    self._result = replace(self._result, state="preparing", pending=item)
                    break
                if item is not None:
                    crash.point("after_fetch")
                    pending.append(item)
                    records += item.mapped.records if item.mapped is not None else 1
                    stops = item.refusal is not None and not self._stream.atomic
                    if not stops and len(pending) < most and records < BATCH_RECORDS:
                        continue
                if pending:
                    self._write(pending)
                    pending, records, most = [], 0, min(2 * most, BATCH_PAGES)
                else:
                    self._keep_lease()
        except SourceError:
            # What came before the failure is good: its cursor is a safe place to go on from.
            if pending and all(item.refusal is None or self._stream.atomic for item in pending):
                self._write(pending)
            raise
        if pending:
            self._write(pending)

    def _write(self, items: list[Arrived]) -> None:
        """One batch, one transaction; done again when another transaction touched the same records."""
        for attempt in range(1, WRITE_ATTEMPTS + 1):
            try:
                with writing(self._engine) as conn:
                    written = self._writer.write(conn, items, now=self._clock.now())
                    crash.point("before_commit")
                break
            except (Contended, sa.exc.IntegrityError, sa.exc.OperationalError) as error:
                if attempt == WRITE_ATTEMPTS or not _worth_repeating(error):
                    raise
                time.sleep(0.05 * 2**attempt * random.random())  # noqa: S311 - spreads writers, guards nothing
        crash.point("after_commit")
        self._renewed = time.monotonic()
        self._result = replace(
            self._result,
            counts=self._result.counts + written.outcome.counts,
            pages=self._result.pages + len(items),
            batches=self._result.batches + 1,
            events=self._result.events + written.outcome.events,
            touched=self._result.touched + written.outcome.touched,
            causes={**self._result.causes, **written.outcome.causes},
            control_totals=(*self._result.control_totals, *written.control_totals),
            new_customers=self._result.new_customers + written.outcome.entities.get("customer", {}).get("new", 0),
            refused=self._result.refused or next((item.refusal.detail for item in items if item.refusal is not None), None),
        )
        if self._on_commit is not None:
            self._on_commit(written.outcome)
        self._settle(items)
        if written.stop is not None:
            self._told = True
            raise written.stop

    def _settle(self, items: list[Arrived]) -> None:
        """Tells a source of files what became of each; the commit stands whatever the folder says."""
        if not (self._stream.atomic and isinstance(self._source, Filing)) or self._handed:
            return
        crash.point("before_settle")
        for item in items:
            reason = None if item.refusal is None else item.refusal.detail
            try:
                self._source.settled(self._stream.name, item.page, accepted=item.refusal is None, reason=reason)
            except OSError:
                _log.exception("a committed file could not be filed away", stream=self._stream.name, file=item.page.name)
        crash.point("after_settle")

    def _keep_lease(self) -> None:
        if time.monotonic() - self._renewed < leases.RENEW_SECONDS:
            return
        with writing(self._engine) as conn:
            leases.hold(conn, self._lease)
        self._renewed = time.monotonic()

    def _finish(self, run_id: int, state: streams.State) -> PullResult:
        crash.point("before_finish")
        now = self._clock.now()
        settings = self._connection.stream(self._stream.name)
        with suppress(leases.Fenced), writing(self._engine) as conn:
            leases.hold(conn, self._lease)
            if self._handed:
                leases.release(conn, self._lease)
            elif self._result.pending is not None:
                streams.preparing(conn, self._connection.name, self._stream.name, self._result.pending)
            else:
                every = timedelta(seconds=settings.every_seconds)
                streams.succeeded(conn, self._connection.name, self._stream.name, now=now, every=every)
                quarantine.recovered(conn, self._connection.name, self._stream.name, now=now)
                if isinstance(self._source, Metered):
                    streams.note_calls(conn, self._connection.name, self._stream.name, *self._source.calls())
                self._keep_count(conn)
                if state.breaker_open_until_wall is not None:
                    runs.tell(conn, self._connection, self._stream.name, "sync.recovered", run_id, now, {})
            self._expect(conn, state, now)
            runs.end(conn, run_id, "done", self._result, now)
        crash.point("after_finish")
        return self._result

    def _keep_count(self, conn: Writing) -> None:
        if self._connection.daily_call_budget is not None:
            wall = datetime.now(UTC)
            count = http_gate.counted_today(self._connection.name, wall)
            streams.note_count(conn, self._connection.name, self._stream.name, count, wall.date().isoformat())

    def _fail(self, run_id: int, state: streams.State, error: SourceError) -> PullResult:
        now = self._clock.now()
        self._result = replace(self._result, state="failed", error=error.detail, error_kind=error.kind)
        if self._beside:
            with suppress(leases.Fenced), writing(self._engine) as conn:
                leases.release(conn, self._lease)
                self._keep_count(conn)
                runs.end(conn, run_id, "failed", self._result, now)
            return self._result
        wall = datetime.now(UTC)
        attempt = min(state.consecutive_failures + 1, MAX_ATTEMPTS)
        decision = decide_retry(error, attempt, now=wall, jitter=random.random())  # noqa: S311
        wait = timedelta(seconds=decision.delay_seconds)
        if decision.action == "park" and decision.until is not None:
            wait = max(decision.until - wall, timedelta())
        elif decision.action == "stop":
            wait = RESTS.get(error.kind, REST)
        delayed = decision.action != "retry" or state.consecutive_failures + 1 >= DELAYED_AFTER
        pause = f"{error.stopped}: {error.detail}" if isinstance(error, AuthError) else None
        failure = streams.Failure(error.detail, error.kind, wait, delayed, pause)
        with suppress(leases.Fenced), writing(self._engine) as conn:
            leases.hold(conn, self._lease)
            streams.failed(conn, self._connection.name, self._stream.name, failure)
            self._keep_count(conn)
            if decision.action == "stop" and not self._told:
                quarantine.trouble(conn, self._writer.place, [_trouble(error)], now=now)
            if delayed and state.breaker_open_until_wall is None:
                told = {"error": error.detail, "kind": error.kind}
                runs.tell(conn, self._connection, self._stream.name, "sync.delayed", run_id, now, told)
            self._expect(conn, state, now)
            runs.end(conn, run_id, "failed", self._result, now)
        return self._result

    def _expect(self, conn: Writing, state: streams.State, now: datetime) -> None:
        """What should have come by now, whether the source answered or not."""
        if isinstance(self._source, Expecting):
            expectations.keep(conn, self._writer.place, self._source, since=state.live_since, now=now)

    def _close_run(self, run_id: int, state: str, result: PullResult) -> PullResult:
        with writing(self._engine) as conn:
            runs.end(conn, run_id, state, result, self._clock.now())
        return result


def _worth_repeating(error: Exception) -> bool:
    if isinstance(error, Contended):
        return True
    orig = getattr(error, "orig", None)
    return isinstance(
        orig,
        (
            psycopg.errors.UniqueViolation,
            psycopg.errors.DeadlockDetected,
            psycopg.errors.SerializationFailure,
            psycopg.errors.LockNotAvailable,
        ),
    )


def _trouble(error: SourceError) -> quarantine.Trouble:
    if isinstance(error, DataError):
        return quarantine.Trouble(error.cause, error.detail, evidence=error.evidence)
    of_kind = "source_permanent" if error.kind == "permanent" else "source_down"
    cause = error.cause if isinstance(error, AuthError) else of_kind
    return quarantine.Trouble(cause, error.detail, evidence={"kind": error.kind, "status": error.status})
