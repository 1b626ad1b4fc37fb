"""What has to be done now and then: invoices fall due, partitions are made, old rows go, invariants are checked."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from db.clock import Clock
from db.engine import Database, Reading, Writing
from sync import exceptions
from sync.verify import verify as check

PARTITIONS_AHEAD = 3
TICKS_KEPT = timedelta(hours=6)
RUNS_KEPT = timedelta(days=30)
_log = structlog.get_logger(__name__)


def tell_due_invoices(conn: Writing, *, now: datetime, most: int = 2_000) -> int:
    """An event invoice.due for every posted invoice whose due date has come, once per due date; returns how many.

    One that fell due before its stream was live is history: nobody acts on it again.
    """
    return conn.execute(
        sa.text(
            "insert into process.event (type, entity, source, source_key, source_version, region, legal_entity, occurred_at,"
            " recorded_at, objects, raw_record_id, data, state)"
            " select 'invoice.due', 'invoice', i.source, i.source_key, i.source_version, i.region, i.legal_entity,"
            " i.due_date::timestamp at time zone 'UTC', :now,"
            " array_remove(array['invoice:' || i.number, 'order:' || i.order_number, 'customer:' || i.source || ':' || i.customer_key], null),"
            " i.raw_record_id, jsonb_build_object('number', i.number, 'due_date', i.due_date, 'gross', i.gross::text, 'currency', i.currency),"
            " case when i.backfilled and i.due_date < :today - 1 then 'ignored' else 'new' end"
            " from canonical.invoice i where i.due_date <= :today and i.status = 'posted' and not i.is_deleted and not i.is_credit"
            " and not exists (select from process.event e where e.entity = 'invoice' and e.source = i.source and e.source_key = i.source_key"
            "                 and e.type = 'invoice.due' and e.data->>'due_date' = i.due_date::text)"
            " order by i.due_date, i.source, i.source_key limit :most on conflict do nothing"
        ),
        {"now": now, "today": now.date(), "most": most},
    ).rowcount


def wake(conn: Writing, *, now: datetime) -> int:
    """Exceptions that were put off until now are open again."""
    return exceptions.wake(conn, now=now)


def stranded_commands(conn: Reading) -> list[int]:
    """Commands that are not finished and have no job: submitted where the queue could not be reached, or their job was lost."""
    rows = conn.scalars(
        sa.text(
            "select c.id from process.command c where c.state in ('queued', 'running') and not exists ("
            " select from procrastinate_jobs j where j.task_name = 'run_command' and j.status in ('todo', 'doing')"
            " and j.args->>'command_id' = c.id::text) order by c.id limit 50"
        )
    )
    return [int(row) for row in rows]


def has_touched(conn: Reading) -> bool:
    """Whether a group of measures waits to be refreshed."""
    return bool(conn.scalar(sa.text("select exists (select from measure.touched)")))


def ensure_partitions(conn: Writing, *, now: datetime) -> int:
    """Makes this month's and the next months' partitions of raw.page; returns how many were missing."""
    return int(
        conn.scalar(sa.text("select raw.ensure_page_partitions(:first, :months)"), {"first": now.date(), "months": PARTITIONS_AHEAD}) or 0
    )


def tidy(conn: Writing, *, now: datetime) -> None:
    """Makes partitions ahead and drops what only the moment needed: ticks, finished jobs, empty runs."""
    try:
        with conn.begin_nested():
            ensure_partitions(conn, now=now)
    except sa.exc.IntegrityError:
        # Pages of that month lie in the default partition already: they stay there, found as well as elsewhere.
        _log.info("the month's pages lie in the default partition")
    conn.execute(sa.text("delete from process.tick where scheduled_at < clock_timestamp() - :kept"), {"kept": TICKS_KEPT})
    conn.execute(
        sa.text("delete from procrastinate_jobs where status in ('succeeded', 'failed', 'cancelled', 'aborted') and id < ("
                " select coalesce(max(id), 0) - 5000 from procrastinate_jobs)")
    )  # fmt: skip
    conn.execute(
        sa.text(
            "delete from process.run r where r.records = 0 and r.state = 'done' and r.ended_at < :before"
            " and not exists (select from process.batch b where b.run_id = r.id)"
        ),
        {"before": now - RUNS_KEPT},
    )


def verify(database: Database, clock: Clock) -> int:
    """Checks every invariant and says in the log what violates one; returns how many do."""
    violations = check(database, clock)
    for violation in violations:
        _log.error("invariant violated", violation=str(violation))
    return len(violations)
