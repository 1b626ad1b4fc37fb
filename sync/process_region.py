"""The process layer at work: claims the new events of a region, decides, and writes decision, case and effect in one transaction.

Regions never wait for each other. Events are claimed by their state with SKIP LOCKED, never by "id above the last one", so that a
late commit is not lost. An event whose rule fails is tried again; after five tries it is a person's, and its neighbours go on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import structlog

from db.clock import Clock
from db.engine import Database, Reading, Writing, writing
from sync import crash, deferral, process_situation, process_store
from sync.connections import Landscape
from sync.exceptions import Failure, record_exception, resolve_event
from sync.process_situation import Decided, Event

log = structlog.get_logger(__name__)

BATCH = 100
MAX_BATCHES = 50
MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Processed:
    """What one run did; `more`: there is more than one run does."""

    region: str
    events: int = 0
    decisions: int = 0
    released: int = 0
    held: int = 0
    waiting: int = 0
    failed: int = 0
    more: bool = False

    def plus(self, other: Processed) -> Processed:
        """Both together."""
        return Processed(
            self.region,
            self.events + other.events,
            self.decisions + other.decisions,
            self.released + other.released,
            self.held + other.held,
            self.waiting + other.waiting,
            self.failed + other.failed,
            more=other.more,
        )


def run(database: Database, landscape: Landscape, region: str, clock: Clock, *, batch: int = BATCH) -> Processed:
    """Handles the region's new events until none is due, a batch per transaction. Safe beside any number of others."""
    total = Processed(region)
    for _ in range(MAX_BATCHES):
        done = _step(database, landscape, region, clock, batch)
        total = total.plus(done)
        if done.events < batch:
            return total
    return total.plus(Processed(region, more=True))


def run_events(database: Database, landscape: Landscape, event_ids: Collection[int], clock: Clock) -> Processed:
    """Handles exactly these events again, whatever became of them before, each in its own transaction: for replay."""
    total = Processed("")
    for event_id in sorted(event_ids):
        with writing(database.engine) as conn:
            conn.execute(
                sa.text("update process.event set state = 'new', attempts = 0, next_attempt_at = null where id = :id and state = 'failed'"),
                {"id": event_id},
            )
            total = total.plus(_handle(conn, landscape, _claim(conn, None, 1, [event_id]), clock.now()))
    return total


def _step(database: Database, landscape: Landscape, region: str, clock: Clock, batch: int) -> Processed:
    """One batch; when it can't be written as a whole, its events go one by one, so that one of them can't hold the others."""
    try:
        with writing(database.engine) as conn:
            return _handle(conn, landscape, _claim(conn, region, batch), clock.now())
    except (sa.exc.DataError, sa.exc.IntegrityError, sa.exc.InternalError, LookupError, TypeError, ValueError) as error:
        log.warning("process.batch_split", region=region, error=f"{type(error).__name__}: {error}"[:500])
    total = Processed(region)
    with writing(database.engine) as conn:
        ids = [event.id for event in _claim(conn, region, batch)]
    for event_id in ids:
        try:
            with writing(database.engine) as conn:
                total = total.plus(_handle(conn, landscape, _claim(conn, region, 1, [event_id]), clock.now()))
        except (sa.exc.DBAPIError, LookupError, TypeError, ValueError) as error:
            with writing(database.engine) as conn:
                claimed = _claim(conn, region, 1, [event_id])
                _failed(conn, landscape, claimed, {event_id: error}, clock.now())
            total = total.plus(Processed(region, events=1, failed=1))
    return total


_CLAIM = """
select id, type, source, source_key, region, objects, data, attempts from process.event
where state = 'new' and (:region is null or region = :region) and (:some or next_attempt_at is null or next_attempt_at <= clock_timestamp())
  and (not :some or id = any(:ids))
order by id limit :limit for update skip locked
"""


def _claim(conn: Writing, region: str | None, limit: int, ids: Sequence[int] = ()) -> list[Event]:
    statement = sa.text(_CLAIM).bindparams(sa.bindparam("region", type_=sa.Text))
    bound = {"region": region, "limit": limit, "some": bool(ids), "ids": list(ids)}
    return [
        Event(row.id, row.type, row.source, row.source_key, row.region, tuple(row.objects), row.data, row.attempts)
        for row in conn.execute(statement, bound)
    ]


def _handle(conn: Writing, landscape: Landscape, events: Sequence[Event], now: datetime) -> Processed:
    if not events:
        return Processed("")
    situation = process_situation.load(conn, landscape, events, now)
    decided = process_situation.decide(situation)
    crash.point("decide")
    targets = process_store.store(conn, landscape, situation, decided.decisions, now=now)
    _settle(conn, landscape, events, decided, now)
    for connection in sorted(targets):
        deferral.deliver(conn, connection, region=landscape.connection(connection).region)
    crash.point("intent")
    outcomes = [decision.outcome for _, decision in decided.decisions]
    return Processed(
        events[0].region,
        events=len(events),
        decisions=len(outcomes),
        released=outcomes.count("release"),
        held=outcomes.count("hold"),
        waiting=len(decided.waiting),
        failed=len(decided.failed),
    )


def _settle(conn: Writing, landscape: Landscape, events: Sequence[Event], decided: Decided, now: datetime) -> None:
    done = [event for event in events if event.id not in decided.waiting and event.id not in decided.failed]
    conn.execute(
        sa.text("update process.event set state = 'handled', handled_at = :now, attempts = attempts + 1 where id = any(:ids)"),
        {"ids": [event.id for event in done], "now": now},
    )
    again = [event.id for event in done if event.attempts]
    if again:
        resolve_event(conn, again, now=now, resolution="the rule could be evaluated")
    if decided.waiting:
        conn.execute(sa.text(_LATER), {"ids": list(decided.waiting)})
    if decided.failed:
        _failed(conn, landscape, events, decided.failed, now)


# 2, 4, 8, 16, 32 seconds of wall time: what is missing is usually one pull away.
_LATER = """
update process.event set attempts = attempts + 1, next_attempt_at = clock_timestamp() + make_interval(secs => 2 ^ least(attempts + 1, 6))
where id = any(:ids)
"""


def _failed(conn: Writing, landscape: Landscape, events: Sequence[Event], failed: dict[int, Exception], now: datetime) -> None:
    """Counts the failure; at the fifth the event leaves the queue and becomes an exception, so that nobody waits behind it."""
    by_id = {event.id: event for event in events}
    conn.execute(sa.text(_LATER), {"ids": list(failed)})
    conn.execute(
        sa.text("update process.event set state = 'failed' where id = any(:ids) and attempts >= :most"),
        {"ids": list(failed), "most": MAX_ATTEMPTS},
    )
    for event_id, error in failed.items():
        event = by_id.get(event_id)
        log.warning("process.rule_failed", event_id=event_id, error=f"{type(error).__name__}: {error}"[:500])
        if event is None or event.attempts + 1 < MAX_ATTEMPTS:
            continue
        failure = Failure(
            cause="rule_failed",
            kind="rule",
            connection=event.source,
            region=event.region,
            message=f"{event.type} of {event.source_key} could not be decided: {type(error).__name__}",
            entity=event.type,
            source_key=event.source_key,
            event_id=event.id,
            evidence={"event": event.type, "objects": list(event.objects), "error": str(error)[:1000]},
            attempts=event.attempts + 1,
        )
        record_exception(conn, failure, now=now, reporting_currency=landscape.reporting_currency)


def regions_due(conn: Reading) -> list[str]:
    """The regions with an event whose time has come: what a sweep defers the rules for."""
    rows = conn.execute(
        sa.text(
            "select distinct region from process.event where state = 'new'"
            " and (next_attempt_at is null or next_attempt_at <= clock_timestamp()) order by region"
        )
    )
    return [row.region for row in rows]
