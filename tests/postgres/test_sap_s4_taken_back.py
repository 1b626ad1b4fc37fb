"""S/4HANA's books in a real Postgres: what is reset, deleted or comes back stands as the host has it, and every record is counted once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from db.clock import FixedClock
from db.engine import reading
from sync.http_gate import _GATES
from sync.pull import pull_stream
from sync.systems.sap_s4 import make_source
from sync.systems.sap_s4.ledger import _MEMORIES
from tests.contracts.odata_server import LANDSCAPE
from tests.contracts.odata_world import World
from tests.postgres.synthetic import Database

ITEM = ("1010", "2026", "b1", "001")
STREAMS = ("customers", "credit_accounts", "sales_orders", "billing_documents", "deliveries", "accounting_items", "journal_lines")


class House:
    """A host and a database that follows it."""

    def __init__(self, engine: sa.Engine, clock: FixedClock) -> None:
        self.engine, self.clock, self.world = engine, clock, World()

    def pull(self, later: timedelta = timedelta()) -> None:
        """Everything, as the worker does."""
        self.clock.advance(later)
        source = make_source(self.world.connection(), LANDSCAPE)
        for stream in STREAMS:
            result = pull_stream(
                Database(self.engine), self.world.connection(), LANDSCAPE, source, stream, clock=self.clock, trigger="test"
            )
            assert (result.state, result.error, result.counts.quarantined) == ("done", None, 0), stream
        source.close()

    def named(self, stream: str, *keys: str) -> None:
        """What an event names is read again."""
        with closing(make_source(self.world.connection(), LANDSCAPE)) as source:
            pages = source.reread(stream, keys, now=self.clock.now())
            pull_stream(
                Database(self.engine), self.world.connection(), LANDSCAPE, source, stream, clock=self.clock, trigger="webhook", pages=pages,
                beside=True,
            )  # fmt: skip

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with reading(self.engine) as conn:
            return [tuple(row) for row in conn.execute(sa.text(query))]

    def held(self) -> dict[str, Any]:
        """What counts."""
        return {
            "posting": self.ask("select document, status from canonical.gl_posting where not is_deleted order by 1"),
            "paid": self.ask("select invoice_key, amount from canonical.payment_application where not is_deleted order by 1"),
            "limit": self.ask("select source_key, limit_amount from canonical.credit_limit where not is_deleted order by 1"),
            "order": self.ask("select source_key, status from canonical.sales_order where not is_deleted order by 1"),
            "delivery": self.ask("select source_key, goods_issued_on from canonical.delivery where not is_deleted order by 1"),
        }


@pytest.fixture
def house(engine: sa.Engine, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")
    _GATES.clear()
    _MEMORIES.clear()
    found = House(engine, clock)
    yield found
    found.world.server.close()
    _MEMORIES.clear()


def test_what_is_taken_back_is_taken_back_here(house: House) -> None:
    """A clearing reset, a limit that falls and rises to what it was, an order, a delivery and an open item deleted; and all of it again."""
    world, today = house.world, house.clock.now().date()
    before = today - timedelta(days=30)
    world.put("A_BusinessPartner", BusinessPartner="C1", Customer="C1", CreationDate=before)
    world.put("A_Customer", Customer="C1", CustomerName="One")
    limit = {"BusinessPartner": "C1", "CreditSegment": "0000", "CreditSegmentCurrency": "EUR"}
    world.put("CreditManagementAccount", CreditLimitAmount=Decimal(100), **limit)
    for number in ("10", "11"):
        world.put("A_SalesOrder", SalesOrder=number, SoldToParty="C1", TransactionCurrency="EUR", OverallSDProcessStatus="A", CreationDate=before,
                  LastChangeDateTime=house.clock.now() - timedelta(days=3))  # fmt: skip
    for number in ("80", "81"):
        world.put("A_OutbDeliveryHeader", DeliveryDocument=number, SoldToParty="C1", OverallDelivReltdBillgStatus="A", CreationDate=before,
                  ActualGoodsMovementDate=today)  # fmt: skip
    cleared = {"IsCleared": True, "ClearingDate": today - timedelta(days=9), "ClearingCreationDate": today - timedelta(days=9),
               "ClearingAccountingDocument": "c1", "ClearingDocFiscalYear": "2026"}  # fmt: skip
    for number, said in (("b1", cleared), ("b2", {})):
        world.put("A_OperationalAcctgDocItemCube", CompanyCode="1010", FiscalYear="2026", AccountingDocument=number, AccountingDocumentItem="001",
                  FinancialAccountType="D", Customer="C1", BillingDocument=f"9{number}", AccountingDocumentType="RV", TransactionCurrency="EUR",
                  AmountInTransactionCurrency=Decimal(100), DebitCreditCode="S", PostingDate=before, LastChangeDate=before, **said)  # fmt: skip
    house.pull()
    first = house.held()
    assert first["posting"] == [("1010/2026/b1", "cleared"), ("1010/2026/b2", "open")]
    assert first["paid"] == [("9b1", Decimal(100))]
    kept = {name: dict(rows) for name, rows in world.rows.items()}
    item = kept["A_OperationalAcctgDocItemCube"][ITEM]

    opened = dict.fromkeys(("ClearingDate", "ClearingCreationDate")) | {"IsCleared": False, "ClearingAccountingDocument": ""}
    world.rows["A_OperationalAcctgDocItemCube"] = {ITEM: {**item, **opened}}
    world.put("CreditManagementAccount", CreditLimitAmount=Decimal(50), **limit)
    del world.rows["A_SalesOrder"][("11",)]
    house.named("sales_orders", "11")
    assert house.held()["order"] == [("10", "open")], "its event is enough"
    del world.rows["A_OutbDeliveryHeader"][("81",)]
    world.put("A_OutbDeliveryHeader", DeliveryDocument="80", ActualGoodsMovementDate=None)
    house.pull(timedelta(hours=25))
    assert house.held() == {
        "posting": [("1010/2026/b1", "open")], "paid": [], "limit": [("C1/0000", Decimal(50))], "order": [("10", "open")],
        "delivery": [("80", None)],
    }  # fmt: skip

    world.rows = kept
    world.put("A_SalesOrder", SalesOrder="11", LastChangeDateTime=house.clock.now())
    house.pull(timedelta(hours=25))
    assert house.held() == first
    uneven = "select 1 from process.batch where received <> promoted + unchanged + duplicates + superseded + quarantined"
    assert house.ask(uneven) == []
