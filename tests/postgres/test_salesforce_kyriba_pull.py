"""CRM and treasury pulled from the sandbox into a real Postgres: the facts are the org's and the tenant's own, to the cent."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading
from sandbox import Running
from sync.connections import Connection
from sync.pull import PullResult, pull_stream
from sync.systems.registry import system
from tests.contracts import suite_sandbox
from tests.contracts.suite_sandbox import LANDSCAPE, Dial, connection_to, module_box
from tests.postgres.synthetic import Database

pytestmark = pytest.mark.xdist_group("salesforce-kyriba-pull")
"""One worker: two would start the sandbox twice."""


box = module_box(customers=20, history_days=60)
dial = suite_sandbox.dial


def _pull(engine: sa.Engine, box: Running, connection: Connection) -> dict[str, PullResult]:
    """Every stream of the connection, pulled to its end at the world's time."""
    source = system(connection).make_source(connection, LANDSCAPE)
    clock = FixedClock(box.world.now)
    try:
        return {
            stream.name: pull_stream(Database(engine), connection, LANDSCAPE, source, stream.name, clock=clock, trigger="test")
            for stream in source.streams()
        }
    finally:
        source.close()


def _one(engine: sa.Engine, query: str) -> Any:
    with reading(engine) as conn:
        return conn.execute(sa.text(query)).scalar_one()


def test_the_crm_lands_whole_and_a_second_pull_changes_nothing(engine: sa.Engine, box: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts, opportunities and contracts as the org has them; read again, nothing is promoted."""
    org = connection_to(box, "salesforce", "salesforce", monkeypatch, "client_id", "client_secret", settle_seconds=0)
    first = _pull(engine, box, org)
    assert {name: (r.state, r.counts.quarantined) for name, r in first.items()} == dict.fromkeys(first, ("done", 0))
    assert _one(engine, "select count(*) from canonical.customer") == len(box.world.accounts)
    assert _one(engine, "select sum(value) from canonical.contract") == sum(c.value for c in box.world.contracts.values())
    assert _one(engine, "select sum(amount) from canonical.opportunity") == sum(o.amount for o in box.world.opportunities.values())
    assert _one(engine, "select (budget ->> 'limit')::int from process.stream where stream = 'contracts'") == 100_000
    again = _pull(engine, box, org)
    assert sum(result.counts.promoted for result in again.values()) == 0


def test_treasury_lands_whole_and_a_second_pull_changes_nothing(engine: sa.Engine, box: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts, closing balances and cash flows as the tenant has them; read again, nothing is promoted."""
    tenant = connection_to(box, "kyriba", "kyriba", monkeypatch, "client_id", "client_secret", balance_history_days=40)
    first = _pull(engine, box, tenant)
    assert {name: (r.state, r.counts.quarantined) for name, r in first.items()} == dict.fromkeys(first, ("done", 0))
    flows = [flow for flow in box.world.flows.values() if not flow.deleted]
    assert _one(engine, "select sum(amount) from canonical.forecast_item") == sum(flow.amount for flow in flows)
    newest = {code: max(closings) for code, closings in box.world.closings.items()}
    assert _one(engine, "select count(*) from canonical.bank_account") == len(newest)
    total = sum(box.world.closings[code][day] for code, day in newest.items())
    landed = (
        "select sum(amount) from (select distinct on (account) amount from canonical.bank_balance where balance_type = 'closing_booked'"
        " order by account, as_of_date desc) newest"
    )
    assert _one(engine, landed) == total
    again = _pull(engine, box, tenant)
    assert sum(result.counts.promoted for result in again.values()) == 0


def test_a_pull_cut_off_by_an_outage_goes_on_where_it_was(
    engine: sa.Engine, box: Running, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small pages, a token that expires, then an outage: the failed pull keeps what it committed, the next one brings the rest."""
    org = connection_to(box, "salesforce", "salesforce", monkeypatch, "client_id", "client_secret", settle_seconds=0)
    dial.fault("salesforce", "page_size", size=7)
    dial.fault("salesforce", "expired_token", times=1)
    dial.fault("salesforce", "truncated", entity="Opportunity", times=1, content_length=False)
    failed = _pull(engine, box, org)
    assert failed["opportunities"].state == "failed"
    done = _pull(engine, box, org)
    assert {result.state for result in done.values()} == {"done"}
    assert _one(engine, "select count(*) from canonical.opportunity") == len(box.world.opportunities)
    bad = "select count(*) from process.batch where received <> promoted + unchanged + duplicates + superseded + quarantined"
    assert _one(engine, bad) == 0
