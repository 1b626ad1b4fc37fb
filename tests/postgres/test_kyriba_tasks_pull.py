"""A treasury tenant's asynchronous stream and its payments in a real Postgres: taken up again by another process, and counted once."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading, writing
from metrics import hindsight, refresh
from sandbox import Running
from sandbox.kyriba import tasks
from sandbox.world.reference import BANK_ACCOUNTS
from sync.connections import Connection
from sync.pull import PullResult, pull_stream
from sync.systems.registry import system
from tests.contracts.suite_sandbox import LANDSCAPE, connection_to, module_box
from tests.postgres.metrics_facts import Facts
from tests.postgres.synthetic import Database

pytestmark = pytest.mark.xdist_group("kyriba-tasks-pull")
"""One worker: two would start the sandbox twice."""


box = module_box(customers=12, history_days=40)


@pytest.fixture
def tenant(box: Running, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """A tenant that is asked four times or so while it works off a task, in a quarter of the time that a person would see it take."""
    monkeypatch.setattr(tasks, "SECONDS", 0.25)
    options: dict[str, Any] = {
        "statement_templates": ["E_BK_CAMT053", "E_BK_MT940", "E_BK_BAI2"],
        "task_poll_seconds": 0.05,
        "balance_history_days": 20,
    }
    found = connection_to(box, "kyriba", "kyriba", monkeypatch, "client_id", "client_secret", **options)
    return found.model_copy(update={"zone": "UTC"})


def step(engine: sa.Engine, box: Running, tenant: Connection, stream: str) -> PullResult:
    """One pull by a process that knows nothing but the database."""
    with closing(system(tenant).make_source(tenant, LANDSCAPE)) as source:
        return pull_stream(Database(engine), tenant, LANDSCAPE, source, stream, clock=FixedClock(box.world.now), trigger="test")


def one(engine: sa.Engine, query: str) -> Any:
    with reading(engine) as conn:
        return conn.execute(sa.text(query)).scalar_one()


def test_a_task_is_taken_up_by_whoever_comes_and_its_statements_count_once(engine: sa.Engine, box: Running, tenant: Connection) -> None:
    """Preparing until the tenant is done, then done; an account that is told of in three ways is one position."""
    for stream in ("accounts", "balances", "bank_balances"):
        assert step(engine, box, tenant, stream).state == "done"
    states = []
    for _ in range(100):
        result = step(engine, box, tenant, "statements")
        assert result.error is None
        states.append(result.state)
        if result.state == "done":
            break
        assert result.state == "preparing"
        assert "task" in one(engine, "select cursor from process.stream where stream = 'statements'")
        time.sleep(0.1)
    assert states[0] == "preparing"
    assert states[-1] == "done"
    assert one(engine, "select count(*) from canonical.bank_transaction") > 0
    assert one(engine, "select count(*) from process.exception") == 0
    assert one(engine, "select count(*) from process.control_total where not agree") == 0
    bad = "select count(*) from process.batch where received <> promoted + unchanged + duplicates + superseded + quarantined"
    assert one(engine, bad) == 0
    with writing(engine) as conn:
        refresh.refresh(conn, now=box.world.now, reporting_currency="EUR")
    assert one(engine, "select count(*) from measure.cash_position") == len(BANK_ACCOUNTS)
    again = step(engine, box, tenant, "statements")
    assert again.state == "preparing"


def test_a_payment_that_its_source_also_plans_counts_once(engine: sa.Engine) -> None:
    """The transfer behind a cash flow is that flow, planned and past; one that no flow tells of counts by itself."""
    flow = {"source": "kyriba", "made_at": datetime(2026, 2, 1, 9, tzinfo=UTC), "currency": "EUR", "account": "A1"}
    payment = {"source": "kyriba", "currency": "EUR", "bank_account": "A1"}
    with writing(engine) as conn:
        facts = Facts(conn)
        facts.customer("C1", party=1)
        facts.put("forecast_item", "F1", amount=Decimal(-40), expected_date=date(2026, 2, 10), confidence="confirmed", **flow)
        facts.put("forecast_item", "F2", amount=Decimal(-70), expected_date=date(2026, 2, 3), confidence="actual", **flow)
        facts.put("outgoing_payment", "P1", amount=Decimal(40), due_date=date(2026, 2, 9), status="approved", **payment)
        facts.put("outgoing_payment", "P2", amount=Decimal(70), due_date=date(2026, 2, 3), status="executed", **payment)
        facts.put("outgoing_payment", "P3", amount=Decimal(30), due_date=date(2026, 2, 9), status="approved", **payment)
        facts.put("outgoing_payment", "P4", amount=Decimal(20), due_date=date(2026, 2, 4), status="executed", **payment)
        refresh.refresh(conn, now=datetime(2026, 2, 5, 12, tzinfo=UTC), reporting_currency="EUR")
    with reading(engine) as conn:
        lines = conn.execute(sa.text("select item_key, amount from measure.forecast_line order by 1")).all()
        came = hindsight.actuals(conn, first_day=date(2026, 2, 1), last_day=date(2026, 2, 5), reporting_currency="EUR")
    assert [tuple(row) for row in lines] == [("F1", Decimal(-40)), ("P3", Decimal(-30))]
    assert sorted(zip(came["record_key"], came["amount"], strict=True)) == [("F2", Decimal(-70)), ("P4", Decimal(-20))]
