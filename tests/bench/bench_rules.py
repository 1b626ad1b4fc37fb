"""Case 7: the event path of the rules, a hundred events per transaction against one at a time; the verdicts must be the same."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import Database, writing
from sync import process_region
from sync.connections import Connection, Landscape
from tests.bench.ratios import Bench, Ratio, faster, rounds, seconds

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ERP = "sap-emea"
LANDSCAPE = Landscape(
    connections=tuple(
        Connection(name=name, system=system, region="EMEA")
        for name, system in ((ERP, "sap_s4"), ("salesforce", "salesforce"), ("kyriba", "kyriba"))
    )
)
EVENTS = 200
CUSTOMERS = 2_000
INVOICES = 10
_ENVELOPE = "source_version, content_hash, region, changed_at, recorded_at, raw_record_id, contract_version"
_VALUES = "1, 1, 'EMEA', :now, :now, 1, 1"


def run(bench: Bench) -> Iterator[Ratio]:
    """Both arms over orders of their own, alike to the last cent; every order decided, every decision stored."""
    url = bench.new_database()
    engine = bench.engine(url)
    database, clock, batches = Database(engine, url, None), FixedClock(NOW), itertools.count(1)
    _customers(engine)

    def arm(size: int) -> Callable[[], float]:
        def timed() -> float:
            _orders(engine, next(batches))
            return seconds(lambda: _drain(database, clock, size))

        return timed

    arms = {"batch": arm(100), "single": arm(1)}
    for warming in arms.values():
        warming()
    times = rounds(bench.rounds, arms)
    yield Ratio("7 rules, event path", "100 per transaction", "one at a time", faster(times["batch"], times["single"]), 12.0,
                rate=EVENTS / statistics.median(times["batch"]), unit="decisions/s")  # fmt: skip
    bench.notes.append(f"case 7: {_agreement(engine)}")
    engine.dispose()


def _drain(database: Database, clock: FixedClock, size: int) -> None:
    while process_region.run(database, LANDSCAPE, "EMEA", clock, batch=size).events:
        pass


def _customers(engine: sa.Engine) -> None:
    """Customers with a limit, links and open invoices; a third of them too deep in debt for another order."""
    statements = (
        (
            f"insert into canonical.customer (source, source_key, {_ENVELOPE}, number, name, payment_terms_days)"
            f" select '{ERP}', 'C' || n, {_VALUES}, 'C' || n, 'Customer ' || n, 30 from generate_series(1, :customers) n"
        ),
        (
            "insert into canonical.party (name, number, region, recorded_at)"
            " select 'Customer ' || n, 'C' || n, 'EMEA', :now from generate_series(1, :customers) n"
        ),
        (
            f"insert into canonical.identity_link (source, source_key, party_id, region, matched_by, confidence, recorded_at)"
            f" select '{ERP}', number, id, 'EMEA', 'number', 1, :now from canonical.party"
        ),
        (
            f"insert into canonical.credit_limit (source, source_key, {_ENVELOPE}, customer_key, limit_amount, currency)"
            f" select '{ERP}', 'C' || n, {_VALUES}, 'C' || n, 10000 + (n % 3) * 10000, 'EUR' from generate_series(1, :customers) n"
        ),
        (
            f"insert into canonical.invoice (source, source_key, {_ENVELOPE}, number, customer_key, issue_date, due_date, gross, currency, status)"
            f" select '{ERP}', 'I' || n || '-' || i, {_VALUES}, 'I' || n || '-' || i, 'C' || n, date '2026-02-10', date '2026-03-12', 1000, 'EUR',"
            " 'posted' from generate_series(1, :customers) n, generate_series(1, :invoices) i"
        ),
        (
            f"insert into canonical.contract (source, source_key, {_ENVELOPE}, number, status)"
            f" values ('salesforce', 'K1', {_VALUES}, 'K-1', 'activated')"
        ),
        f"insert into process.stream (connection, stream, region, last_success_at, complete_until) values ('{ERP}', 'all', 'EMEA', :now, :now)",
    )
    with writing(engine) as conn:
        for statement in statements:
            conn.execute(sa.text(statement), {"now": NOW, "customers": CUSTOMERS, "invoices": INVOICES})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(sa.text("analyze"))


def _orders(engine: sa.Engine, batch: int) -> None:
    """One more set of blocked orders, the same customers and amounts each time; the set before is released and invoiced away."""
    statements = (
        "update canonical.sales_order set credit_status = 'released', status = 'complete' where status = 'open'",
        (
            f"insert into canonical.sales_order (source, source_key, {_ENVELOPE}, number, customer_key, contract_number, net_value, currency,"
            f" status, credit_status, delivery_block) select '{ERP}', 'O' || :batch || '-' || n, {_VALUES}, 'O' || :batch || '-' || n,"
            " 'C' || (1 + n * 7 % :customers), 'K-1', 5000, 'EUR', 'open', 'blocked', '01' from generate_series(1, :events) n"
        ),
        (
            "insert into process.event (type, entity, source, source_key, source_version, region, occurred_at, recorded_at, objects,"
            f" raw_record_id, data, state) select 'order.blocked', 'sales_order', '{ERP}', 'O' || :batch || '-' || n, 1, 'EMEA', :now, :now,"
            " array['order:O' || :batch || '-' || n], 1, '{}', 'new' from generate_series(1, :events) n"
        ),
    )
    with writing(engine) as conn:
        for statement in statements:
            conn.execute(sa.text(statement), {"now": NOW, "batch": batch, "events": EVENTS, "customers": CUSTOMERS})


def _agreement(engine: sa.Engine) -> str:
    """Whether every set was decided alike; a difference ends the benchmark."""
    with engine.connect() as conn:
        rows = conn.execute(
            sa.text(
                "select n, count(distinct outcome) as verdicts from (select split_part(subject_key, '-', 2) as n, outcome"
                " from process.decision) d group by n having count(distinct outcome) > 1"
            )
        ).all()
        released, held = conn.execute(
            sa.text("select count(*) filter (where outcome = 'release'), count(*) filter (where outcome = 'hold') from process.decision")
        ).one()
    if rows:
        raise AssertionError(f"{len(rows)} orders were decided differently in a batch and alone")
    return f"verdicts of both arms are identical ({released} released, {held} held)"
