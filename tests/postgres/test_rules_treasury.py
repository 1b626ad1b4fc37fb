"""Treasury's rules on real Postgres: received payments find their invoices, short cash is said once a day."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from sync import process_region
from sync.connections import Connection, Landscape
from tests.postgres.process_world import NOW, World, landscape, put, ready

BANK = "bank-emea"
WITH_BANK = Landscape(
    minimum_cash={"EUR": "2000000"},
    connections=(*landscape().connections, Connection(name=BANK, system="bank_files", region="EMEA")),
)


@pytest.fixture
def world(engine: sa.Engine) -> World:
    return ready(engine)


def run(world: World) -> list[Any]:
    process_region.run(world.database, WITH_BANK, "EMEA", FixedClock(NOW))
    return world.rows("select rule, outcome, reasons, subject_key from process.decision order by id")


def receive(world: World, key: str, amount: str, remittance: str) -> None:
    """A credit of the bank, as its adapter lands it: the line and the payment it makes."""

    def work(conn: Any) -> None:
        money: dict[str, Any] = {"amount": Decimal(amount), "currency": "EUR", "value_date": date(2026, 3, 2)}
        put(conn, "bank_transaction", BANK, key, account="DE89", remittance=remittance, **money)
        put(conn, "payment", BANK, key, status="settled", **money)

    world.write(work)
    world.event("payment.received", BANK, key)


def test_a_received_payment_finds_the_invoice_it_names(world: World) -> None:
    """Named in full is matched, named in part is partial, nothing named is left for a hand; each decision is kept."""
    world.invoice("90000001", "1000", "119", due=date(2026, 4, 1))
    receive(world, "E1", "119", "Rechnung 90000001")
    receive(world, "E2", "100", "90000001")
    receive(world, "E3", "50", "thank you")
    assert [(row.subject_key, row.outcome) for row in run(world)] == [("E1", "matched"), ("E2", "partial"), ("E3", "hand")]


def test_short_cash_is_said_once_a_day(world: World) -> None:
    """Below the minimum there is one alert per currency and day, however many balances arrive."""
    world.write(
        lambda conn: conn.execute(
            sa.text(
                "insert into measure.cash_position (source, account, region, currency, as_of_date, balance_type, amount, recorded_at,"
                " raw_record_id) values ('kyriba', 'A', 'EMEA', 'EUR', :day, 'closing_booked', 1500000, :now, 1)"
            ),
            {"day": NOW.date(), "now": NOW},
        )
    )
    world.event("cash_position.refreshed", "kyriba", "A|1")
    (row,) = run(world)
    assert (row.rule, row.outcome) == ("liquidity", "alert")
    assert "500,000.00 below" in row.reasons[0]
    world.event("cash_position.refreshed", "kyriba", "A|2")
    assert len(run(world)) == 1
