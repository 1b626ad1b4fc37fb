"""A worker killed at any step of a fact's way: the next one goes on, nothing is lost and nothing is there twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import reading, writing
from sync import crash

ROOT = Path(__file__).parents[2]
STEPS = ("after_fetch", "after_land", "after_promote", "before_commit", "after_commit", "before_settle", "after_settle", "before_finish",
         "after_finish")  # fmt: skip


def run(url: str, stream: str, crash_at: str | None) -> int:
    """A pull in its own process; its exit code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop(crash.VARIABLE, None)
    if crash_at is not None:
        environment[crash.VARIABLE] = crash_at
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.crashing_pull", url, stream],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()[-2000:]
    return done.returncode


def expire_leases(engine: sa.Engine) -> None:
    """What thirty seconds would do."""
    with writing(engine) as conn:
        conn.execute(sa.text("update process.stream set lease_until = clock_timestamp() - interval '1 s' where lease_until is not null"))


def settled(engine: sa.Engine) -> dict[str, object]:
    """Everything that must be the same whether or not the worker was killed on the way."""
    questions = {
        "customers": "select count(*), sum(source_version) from canonical.customer",
        "history": "select count(*) from canonical.customer_history",
        "orders": "select count(*) from canonical.sales_order",
        "events": "select type, state, count(*) from process.event where type not like 'sync.%' group by 1, 2 order by 1, 2",
        "pages": "select count(*), count(distinct digest) from raw.page",
        "promoted": "select sum(promoted), sum(received) from process.batch",
        "unbalanced": "select count(*) from process.batch where received <> promoted + unchanged + duplicates + superseded + quarantined",
        "stream": "select cursor, complete_until, live_since is not null, records_total from process.stream where cursor is not null",
        "untraced": "select count(*) from canonical.customer c where not exists (select from raw.page p where p.id = c.raw_record_id >> 24)",
        "running": "select count(*) from process.run where state = 'running'",
    }
    with reading(engine) as conn:
        return {name: [tuple(row) for row in conn.execute(sa.text(question))] for name, question in questions.items()}


@pytest.mark.crash
@pytest.mark.parametrize("step", STEPS)
def test_a_killed_pull_is_resumed(database: str, engine: sa.Engine, step: str) -> None:
    """Killed at this step in the midst of a pull, resumed once: every fact, event, page and count as if nobody had killed it."""
    stream = "files" if "settle" in step else "orders"
    nth = 1 if "finish" in step else 12 if step == "after_fetch" else 2
    assert run(database, stream, f"{step}:{nth}") == -signal.SIGKILL
    expire_leases(engine)
    assert run(database, stream, None) == 0
    assert settled(engine) == expected(stream)


def expected(stream: str) -> dict[str, object]:
    """What the synthetic source holds, told once."""
    files = stream == "files"
    return {
        "customers": [(50, 100)] if files else [(0, None)],
        "history": [(50,)] if files else [(0,)],
        "orders": [(0,)] if files else [(100,)],
        "events": [] if files else [("order.blocked", "new", 100), ("order.created", "ignored", 100)],
        "pages": [(25, 25)],
        "unbalanced": [(0,)],
        "untraced": [(0,)],
        "promoted": [(100, 100)],
        "stream": [({"next": 25}, datetime(2026, 3, 2, tzinfo=UTC), True, 100)],
        "running": [(0,)],
    }
