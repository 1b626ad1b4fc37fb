"""A pull in a process of its own, which the environment may kill at a named point: `python -m tests.faults.crashing_pull URL STREAM`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from db.clock import FixedClock
from db.engine import create
from sync.pull import pull_stream
from tests.postgres.synthetic import LANDSCAPE, Database, MemorySource, connection, customer, order

PAGES = 25
PER_PAGE = 4


def source() -> MemorySource:
    """Customers on 25 pages, of whom each comes twice in two versions; the same as files."""
    pages = [
        [customer(f"C{(page * PER_PAGE + n) % 50}", 1 + (page * PER_PAGE + n) // 50) for n in range(PER_PAGE)] for page in range(PAGES)
    ]
    orders = [[order(f"O{page * PER_PAGE + n}", delivery_block="01") for n in range(PER_PAGE)] for page in range(PAGES)]
    return MemorySource({"customers": pages, "files": pages, "orders": orders}, complete_until=datetime(2026, 3, 2, tzinfo=UTC))


def main(url: str, stream: str) -> None:
    """Pulls the stream once."""
    clock = FixedClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    engine = create(url)
    result = pull_stream(Database(engine), connection(require_customer=False), LANDSCAPE, source(), stream, clock=clock, trigger="test")
    print(result.state, result.counts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
