"""A backfill of Salesforce opportunities by a Bulk API 2.0 job against the same records by REST pages, into Postgres with landing.

The org's own time to prepare a job is left out: the server has it ready, and the stream's pauses are not slept through.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from db.clock import SystemClock
from sync.connections import Connection, Landscape, LegalEntity
from sync.pull import pull_stream
from sync.systems.salesforce import make_source
from tests.bench.bench_pull import _empty, _written
from tests.bench.org_server import serving
from tests.bench.pull_once import Database
from tests.bench.ratios import Bench, Ratio, faster, rounds, seconds

SECRET = "TIDEGATE_BENCH_SECRET"
LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="DE01", name="Nordhafen GmbH", region="EMEA", currency="EUR"),))


def run(bench: Bench) -> Iterator[Ratio]:
    """Both ways, everything new each time."""
    with serving(bench.rows) as org:
        engine = bench.engine(bench.new_database())
        tables = _written(engine, lambda: _pull(engine, org, bench.rows, bulk_from=1))

        def emptied(bulk_from: int) -> Callable[[], float]:
            def timed() -> float:
                _empty(engine, tables)
                return seconds(lambda: _pull(engine, org, bench.rows, bulk_from=bulk_from))

            return timed

        found = rounds(bench.rounds, {"bulk": emptied(1), "rest": emptied(0)})
        rate = bench.rows / statistics.median(found["bulk"])
        yield Ratio("backfill, Salesforce, new rows", "Bulk 2.0", "REST pages", faster(found["bulk"], found["rest"]), 1.0, rate=rate)
        engine.dispose()


def _pull(engine: sa.Engine, org: str, rows: int, *, bulk_from: int) -> None:
    """Pulls every opportunity from the beginning; raises when there aren't `rows` of them afterwards."""
    os.environ[SECRET] = "bench"
    connection = Connection(
        name="bench-crm", system="salesforce", region="EMEA", legal_entities=("DE01",), allow_private_addresses=True,
        options={"base_url": org, "bulk_from": bulk_from}, secrets={"client_id": f"env:{SECRET}", "client_secret": f"env:{SECRET}"},
    )  # fmt: skip
    source = make_source(connection, LANDSCAPE)
    full = True
    try:
        while True:
            done = pull_stream(
                Database(engine), connection, LANDSCAPE, source, "opportunities", clock=SystemClock(), trigger="person", full=full
            )
            full = False
            if done.pending is None:
                break
    finally:
        source.close()
    with engine.connect() as conn:
        there = conn.execute(sa.text("select count(*) from canonical.opportunity")).scalar_one()
    if done.state != "done" or there != rows or done.counts.quarantined:
        raise AssertionError(f"the pull ended {done.state} with {there} of {rows} rows: {done.error or done.counts}")
