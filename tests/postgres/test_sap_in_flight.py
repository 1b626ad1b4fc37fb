"""An order on its way through S/4HANA, from delivery to bill, stands in the exposure once at every moment; its lines are in the ledger once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

import sandbox
from sync.ports import Order
from sync.systems.sap_s4 import make_target
from tests.postgres.sandbox_house import SandboxHouse, furnish

OPENED = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


@pytest.fixture
def house(engine: sa.Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxHouse]:
    with sandbox.running(tmp_path_factory.mktemp("sandbox"), customers=12, history_days=40, start_at=OPENED) as box:
        yield furnish(engine, box)


def standing(house: SandboxHouse, customer: str) -> Any:
    """What the measures say of a customer, after a pull of its ERP."""
    assert {(each.stream, each.state) for each in house.pull("sap-emea")} == {
        (name, "done")
        for name in ("customers", "credit_accounts", "sales_orders", "billing_documents", "deliveries", "accounting_items", "journal_lines")
    }
    [row] = house.rows(
        "select e.* from measure.exposure e join canonical.identity_link l on l.party_id = e.party_id where l.source_key = :key",
        key=customer,
    )
    return row


def test_an_order_in_flight_is_counted_once(house: SandboxHouse) -> None:
    """Blocked it is no exposure; released an open order; delivered a delivery; billed a receivable: each time with the whole and no more."""
    customers = [one.number for one in house_customers(house)]
    made = house.act("activate_contract", customer=customers[0], value="1000")
    before = standing(house, customers[0])
    [order] = house.rows("select * from canonical.sales_order where number = :number", number=made["order"])
    release(house, made["order"])
    released = standing(house, customers[0])
    assert released.open_orders - before.open_orders == order.net_value
    house.act("deliver", order=made["order"])
    delivered = standing(house, customers[0])
    assert (delivered.open_orders, delivered.open_deliveries - released.open_deliveries) == (before.open_orders, order.net_value)
    assert delivered.exposure == released.exposure
    [shipment] = house.rows("select * from canonical.delivery where order_key = :order", order=made["order"])
    assert (shipment.value, shipment.is_invoiced, shipment.number) == (order.net_value, False, f"8{made['order'].zfill(7)}")
    billed = house.act("invoice", order=made["order"])
    after = standing(house, customers[0])
    assert (after.open_orders, after.open_deliveries) == (before.open_orders, released.open_deliveries)
    assert after.open_receivables - released.open_receivables == Decimal(billed["gross"])
    sums = house.rows("select document, sum(amount) as total from canonical.gl_posting where source = 'sap-emea' group by document")
    whole = [row for row in sums if row.document.endswith(_document(house, billed["invoice"]))]
    assert [row.total for row in whole] == [0]


def house_customers(house: SandboxHouse) -> list[Any]:
    """Customers of DE01 that are invoiced in euros: no rate comes between."""
    house.pull("sap-emea")
    return house.rows("select c.number from canonical.customer c join canonical.credit_limit l on l.source = c.source and"
                      " l.customer_key = c.source_key where c.legal_entity = 'DE01' and l.currency = 'EUR' and exists (select from"
                      " canonical.invoice i where i.source = c.source and i.customer_key = c.source_key and i.currency = 'EUR')"
                      " order by c.number")  # fmt: skip


def release(house: SandboxHouse, number: str) -> None:
    """The credit desk releases an order by the ERP's own interface."""
    target = make_target(house.landscape.connection("sap-emea"), house.landscape)
    assert target.apply(Order(f"k{number}", "release_order", number, {"order": number})).outcome == "applied"
    target.close()


def _document(house: SandboxHouse, invoice: str) -> str:
    [row] = house.rows("select accounting_document from canonical.invoice where number = :number", number=invoice)
    return f"/{row.accounting_document}"
