"""One pull of the benchmark's billing documents; as a program it also says how much memory it took at most.

python -m tests.bench.pull_once DATABASE_URL HOST_URL ROWS     prints the peak in MB
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from db.clock import SystemClock
from db.engine import create
from sync.connections import Connection, Landscape, LegalEntity
from sync.pull import pull_stream
from sync.systems.sap_s4 import make_source

STREAM = "billing_documents"
SECRET = "TIDEGATE_BENCH_SECRET"
BASE = "/sap/opu/odata/sap"
LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="DE01", name="Nordhafen GmbH", region="EMEA", currency="EUR", company_code="1010"),))


@dataclass(frozen=True, slots=True)
class Database:
    """What `pull_stream` needs of an open database."""

    engine: sa.Engine


def pull_all(engine: sa.Engine, host: str, rows: int) -> None:
    """Pulls every document of `host` from the beginning; raises when there aren't `rows` of them afterwards."""
    os.environ[SECRET] = "bench"
    connection = Connection(
        name="bench", system="sap_s4", region="EMEA", legal_entities=("DE01",), allow_private_addresses=True,
        options={"base_url": host + BASE, "require_customer": False},
        secrets={"user": f"env:{SECRET}", "password": f"env:{SECRET}"},
    )  # fmt: skip
    source = make_source(connection, LANDSCAPE)
    try:
        done = pull_stream(Database(engine), connection, LANDSCAPE, source, STREAM, clock=SystemClock(), trigger="person", full=True)
    finally:
        source.close()
    with engine.connect() as conn:
        there = conn.execute(sa.text("select count(*) from canonical.invoice")).scalar_one()
    if done.state != "done" or there != rows or done.counts.quarantined:
        raise AssertionError(f"the pull ended {done.state} with {there} of {rows} rows: {done.error or done.counts}")


def main() -> None:
    """Pulls once and prints the most memory that this process held, in MB."""
    url, host, rows = sys.argv[1:]
    engine = create(url, application="tidegate-bench")
    pull_all(engine, host, int(rows))
    engine.dispose()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024)


if __name__ == "__main__":
    main()
