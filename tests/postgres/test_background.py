"""What runs by itself: one tick however many clocks, jobs in the caller's transaction, due invoices, breaches, a worker that stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading, writing
from sync import clock as ticking
from sync import housekeeping, webhooks
from sync.connections import LegalEntity
from sync.doors import SignedDoor
from sync.pull import pull_stream
from sync.queue import defer_pull
from sync.refreshing import refresh_measures
from sync.signatures import Scheme
from tests.postgres.synthetic import LANDSCAPE, Database, MemorySource, connection, customer, invoice

ROOT = Path(__file__).parents[2]
ERP = connection()


def rows(engine: sa.Engine, query: str) -> list[Any]:
    """What `query` finds."""
    with reading(engine) as conn:
        return [tuple(row) for row in conn.execute(sa.text(query))]


def test_two_clocks_tick_once(engine: sa.Engine) -> None:
    """The same tick by two workers puts one job into the queue; a job that waits is not doubled by the next tick."""
    every = timedelta(days=365)

    def put(conn: Any) -> None:
        defer_pull(conn, ERP, "customers")

    assert [ticking.tick(engine, "pull", every, put) for _ in range(3)] == [True, False, False]
    assert ticking.tick(engine, "another", every, put)
    assert rows(engine, "select task_name, queue_name, lock, args->>'stream' from procrastinate_jobs") == [
        ("pull_stream", "region:EMEA", "pull:erp:customers", "customers")
    ]


def test_a_job_is_rolled_back_with_its_transaction(engine: sa.Engine) -> None:
    """No commit, no job: the queue is part of the transaction."""
    with pytest.raises(RuntimeError, match="changed our mind"), writing(engine) as conn:
        defer_pull(conn, ERP, "customers")
        raise RuntimeError("changed our mind")
    assert rows(engine, "select count(*) from procrastinate_jobs") == [(0,)]


def test_a_hint_pulls_every_stream_beside_the_clock(engine: sa.Engine, clock: FixedClock) -> None:
    """A webhook asks for a pull of each registered stream now, once, although the clock's own pull waits already."""
    body = b'{"id": "1", "source": "erp", "specversion": "1.0"}'
    pull_stream(Database(engine), ERP, LANDSCAPE, MemorySource({}), "customers", clock=clock, trigger="test")
    with writing(engine) as conn:
        defer_pull(conn, ERP, "customers")
        accepted = webhooks.accept(conn, ERP, SignedDoor(Scheme()), {}, body, now=clock.now())
        again = webhooks.accept(conn, ERP, SignedDoor(Scheme()), {}, body, now=clock.now())
    assert (accepted.duplicates, again.duplicates) == (0, 1)
    assert rows(engine, "select args->>'trigger', count(*) from procrastinate_jobs group by 1 order by 1") == [("clock", 1), ("webhook", 4)]


def test_an_invoice_falls_due_once(engine: sa.Engine, clock: FixedClock) -> None:
    """On its due date an open invoice tells invoice.due, once; a later due date is told again when it comes."""
    source = MemorySource(
        {"invoices": [[invoice("I1", due_date="2026-03-02"), invoice("I2", due_date="2026-04-01"), invoice("I3", due_date="2026-01-01")]]}
    )
    erp = connection(require_customer=False)
    pull_stream(Database(engine), erp, LANDSCAPE, source, "invoices", clock=clock, trigger="test")
    told = "select source_key, state from process.event where type = 'invoice.due' order by id"
    for _ in range(2):
        with writing(engine) as conn:
            housekeeping.tell_due_invoices(conn, now=clock.now())
    assert rows(engine, told) == [("I3", "ignored"), ("I1", "new")]
    source.pages["invoices"].append([invoice("I1", 2, due_date="2026-03-20")])
    pull_stream(Database(engine), erp, LANDSCAPE, source, "invoices", clock=clock, trigger="test")
    clock.advance(timedelta(days=20))
    with writing(engine) as conn:
        housekeeping.tell_due_invoices(conn, now=clock.now())
    assert [key for key, _ in rows(engine, told)] == ["I3", "I1", "I1"]


def test_a_breach_is_told_with_the_figure(engine: sa.Engine, clock: FixedClock) -> None:
    """Receivables above a valid limit open a breach and its event, once the region's history is in; no mark is left."""
    limit = {
        "entity": "credit_limit",
        "source_key": "C1",
        "source_version": 1,
        "customer_key": "C1",
        "limit_amount": "100.00",
        "currency": "EUR",
    }
    source = MemorySource({"files": [[customer("C1"), limit, invoice("I1")]]})
    landscape = LANDSCAPE.model_copy(
        update={"connections": (ERP,), "legal_entities": (LegalEntity(code="DE01", name="One", region="EMEA", currency="EUR"),)}
    )
    pull_stream(Database(engine), ERP, landscape, source, "files", clock=clock, trigger="test")
    with writing(engine) as conn:
        conn.execute(sa.text("update process.stream set live_since = now()"))
    refresh_measures(engine, landscape, now=clock.now())
    found = rows(engine, "select type, state, region, data->>'latest', data->>'name' from process.event where type like 'exposure.%'")
    assert found == [("exposure.breached", "new", "EMEA", "119.0000", "Customer C1")]
    assert rows(engine, "select count(*) from measure.touched") == [(0,)]


def test_partitions_are_made_ahead(engine: sa.Engine, clock: FixedClock) -> None:
    """This month's and the next two months' partitions are there after tidying, also the second time."""
    for _ in range(2):
        with writing(engine) as conn:
            housekeeping.tidy(conn, now=clock.now())
    names = {name for (name,) in rows(engine, "select relname from pg_class where relname like 'page_2026%' and relkind = 'r'")}
    assert {"page_2026_03", "page_2026_04", "page_2026_05"} <= names


def test_a_worker_pulls_by_the_clock_and_stops_cleanly(database: str, engine: sa.Engine, tmp_path: Path) -> None:
    """A worker takes a dropped file in by itself, and ends on SIGTERM with code 0 and nothing running."""
    drop = tmp_path / "drop"
    drop.mkdir()
    (tmp_path / "tidegate.toml").write_text(
        f"""
[tidegate]
reporting_currency = "EUR"
[[connection]]
name = "drop"
system = "flat_files"
region = "LATAM"
defaults = {{ every_seconds = 1 }}
[connection.options]
folders = ["{drop}"]
[[connection.options.files]]
stream = "customers"
pattern = "*.csv"
[connection.options.files.columns]
KEY = {{ required = true }}
NAME = {{}}
[[connection.options.files.entities]]
entity = "customer"
key = "KEY"
[connection.options.files.entities.fields]
number = "KEY"
name = "NAME"
""",
        encoding="utf-8",
    )
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "TIDEGATE_CONFIG": str(tmp_path / "tidegate.toml"),
        "TIDEGATE_HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    script = "from db.settings import Settings; from sync.worker import run; run(Settings.from_environment())"
    worker = subprocess.Popen([sys.executable, "-c", script], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        (drop / "a.csv").write_text("KEY,NAME\n1,One\n2,Two\n", encoding="utf-8")
        until = time.monotonic() + 90
        while time.monotonic() < until and rows(engine, "select count(*) from canonical.customer") != [(2,)]:
            assert worker.poll() is None, worker.stderr.read().decode() if worker.stderr else ""
            time.sleep(0.3)
        assert rows(engine, "select count(*) from canonical.customer") == [(2,)]
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=40)
    finally:
        worker.kill()
    assert worker.returncode == 0, errors.decode()
    assert b"Traceback" not in errors, errors.decode()
    assert rows(engine, "select count(*) from process.run where state = 'running'") == [(0,)]
