"""The whole scenario on real wire formats: contract, decision, release, invoice, payment, and what breaks on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import sandbox
from db.engine import writing
from sync import handlers
from sync.commands import AnyCommand, ReplayExceptions, ResolveCase
from sync.exception_filter import ExceptionFilter
from sync.submission import submit
from tests.postgres.sandbox_house import SandboxHouse, furnish

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
"""The world is the same on every day that the tests run."""


@pytest.fixture
def house(engine: sa.Engine, tmp_path: Path) -> Iterator[SandboxHouse]:
    """Tidegate beside a small frozen sandbox, its ERPs and its CRM pulled once."""
    with sandbox.running(tmp_path / "sandbox", customers=12, history_days=40, start_at=OPENED) as box:
        found = furnish(engine, box)
        found.pull("sap-emea", "salesforce")
        found.decide()
        yield found


def command(house: SandboxHouse, what: AnyCommand, key: str) -> dict[str, Any]:
    with writing(house.database.engine) as conn:
        number = submit(
            conn, what, actor="olga", roles={"operator"}, scope_regions=None, idempotency_key=key, reason="checked", now=house.clock.now()
        )
    handlers.run_command(house.database, house.landscape, number, house.clock)
    (row,) = house.rows("select outcome from process.command where id = :id", id=number)
    return dict(row.outcome)


def roomy(house: SandboxHouse) -> str:
    """A customer of sap-emea that the CRM knows by number, made good for anything."""
    (row, *_) = house.rows(
        "select e.source_key as number from canonical.customer e join canonical.customer c on c.erp_number = e.source_key"
        " and c.source = 'salesforce' where e.source = 'sap-emea' and not e.order_block order by 1"
    )
    house.act("change_limit", customer=row.number, limit=900_000_000)
    house.act("activate_contract", customer=row.number, value=1000)
    return str(row.number)


def step(house: SandboxHouse) -> None:
    """One round of the machine."""
    house.advance(minutes=5)
    house.pull("sap-emea", "salesforce")
    house.decide()
    house.deliver()


def keys(house: SandboxHouse, kind: str) -> list[Any]:
    return house.rows("select effect_key, state, object_key from process.effect where kind = :kind order by id", kind=kind)


def test_from_contract_to_cash(house: SandboxHouse) -> None:
    """An activated contract within policy releases its ERP order once and tells treasury; its invoice and payment reach the CRM."""
    customer = roomy(house)
    house.ask("/control/faults", {"system": "sap-emea", "kind": "drop_response_after_execute", "times": 1})
    made = house.act("activate_contract", customer=customer, value=2000)
    step(house)
    overdue = house.rows("select reasons from process.decision where outcome = 'hold'")
    if overdue:
        (case, *_) = house.rows("select id from process.\"case\" where state = 'open' and subject_key = :order", order=made["order"])
        command(house, ResolveCase(case_id=case.id, approve=True), "approve")
    for _ in range(3):
        house.deliver()
        with writing(house.database.engine) as conn:
            conn.execute(sa.text("update process.effect set next_attempt_at = null where state in ('planned', 'sent', 'unknown')"))
    released = [write["key"] for write in house.writes(system="sap-emea")]
    assert Counter(released)[made["order"]] == 1
    assert {row.state for row in keys(house, "release_order")} == {"confirmed"}
    assert any(row.object_key == f"order:sap-emea:{made['order']}" for row in keys(house, "publish_forecast"))
    invoice = house.act("invoice", order=made["order"])
    step(house)
    subjects = [row.object_key for row in keys(house, "publish_forecast")]
    assert f"invoice:sap-emea:{invoice['invoice']}" in subjects
    told = [write["key"] for write in house.writes(system="salesforce")]
    assert told
    house.act("pay", invoice=invoice["invoice"])
    step(house)
    sums = house.rows(
        "select sum((payload ->> 'amount')::numeric) as rest from process.effect where object_key = :subject",
        subject=f"invoice:sap-emea:{invoice['invoice']}",
    )
    assert sums[0].rest == 0
    assert {row.state for row in keys(house, "publish_forecast")} == {"confirmed"}


def test_beyond_the_limit_a_person_approves(house: SandboxHouse) -> None:
    """An order beyond the limit is not released by itself; a person's approval, with a reason, releases it once."""
    (row, *_) = house.rows("select source_key from canonical.customer where source = 'sap-emea' and not order_block order by 1")
    made = house.act("activate_contract", customer=row.source_key, beyond_limit=True)
    step(house)
    assert house.writes(system="sap-emea", key=made["order"]) == []
    (case,) = house.rows('select id from process."case" where subject_key = :order', order=made["order"])
    outcome = command(house, ResolveCase(case_id=case.id, approve=True), "approve")
    assert outcome["state"] == "approved"
    assert command(house, ResolveCase(case_id=case.id, approve=True), "approve")["state"] == "approved"
    step(house)
    step(house)
    assert len(house.writes(system="sap-emea", key=made["order"])) == 1
    (effect,) = house.rows(
        "select approved_by, requested_by, case_id from process.effect where case_id = :case and kind = 'release_order'", case=case.id
    )
    assert (effect.approved_by, effect.requested_by, effect.case_id) == ("olga", "rule:order_to_cash", case.id)


def test_a_broken_record_is_fixed_at_its_source_and_replayed(house: SandboxHouse) -> None:
    """A broken billing document becomes an exception; once it is fixed in the ERP, the replay resolves it."""
    broken = house.act("break_record", system="sap-emea", entity="A_BillingDocument", how="bad_currency")
    house.advance(minutes=5)
    house.pull("sap-emea")
    (item,) = house.rows("select id, cause, state, source_key from process.exception where kind = 'record'")
    assert (item.cause, item.state, item.source_key) == ("bad_currency", "new", broken["key"])
    assert command(house, ReplayExceptions(ids=(item.id,)), "too-early")["failed"] == 1
    house.act("fix_record", system="sap-emea", entity="A_BillingDocument", key=broken["key"])
    house.advance(minutes=5)
    outcome = command(house, ReplayExceptions(filter=ExceptionFilter()), "fixed")
    assert outcome["resolved"] == 1
    (item,) = house.rows("select state, resolution from process.exception where kind = 'record'")
    assert (item.state, item.resolution) == ("resolved", "replayed by olga: a newer version landed")
