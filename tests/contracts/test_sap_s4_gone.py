"""Masters and documents that S/4HANA deletes without a trace are held no longer. Over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.http_gate import _GATES
from sync.ports import Cursor
from sync.systems.sap_s4 import make_source
from tests.contracts.odata_server import LANDSCAPE
from tests.contracts.odata_world import World
from tests.contracts.suite import NOW
from tests.contracts.suite_server import Reply
from tests.contracts.suite_store import Pulled, Store, pull

TODAY = NOW.date()
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Held:
    """A host, and what is held of one of its streams."""

    def __init__(self, world: World, stream: str, entity: str) -> None:
        self.world, self.stream, self.entity = world, stream, entity
        self.store, self.now = Store(), NOW
        self.cursor: Cursor | None = None

    def read(self, later: timedelta = timedelta()) -> set[str]:
        """What is held after a pull."""
        self.now += later
        self.pulled()
        return self.keys()

    def pulled(self) -> Pulled:
        source = make_source(self.world.connection(), LANDSCAPE)
        found = pull(source, self.stream, self.cursor, self.store, now=self.now)
        self.cursor = found.cursor
        source.close()
        return found

    def reread(self, *keys: str) -> set[str]:
        """What is held after an event named these."""
        source = make_source(self.world.connection(), LANDSCAPE)
        for page in source.reread(self.stream, keys, now=self.now):
            self.store.take(source.map(self.stream, page))
        source.close()
        return self.keys()

    def keys(self) -> set[str]:
        return set(self.store.live(self.entity))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")
    _GATES.clear()
    found = World(cap=3)
    yield found
    found.server.close()


def order(world: World, number: str, process: str = "A", **values: Any) -> None:
    world.put("A_SalesOrder", SalesOrder=number, SoldToParty="1", TransactionCurrency="EUR", OverallSDProcessStatus=process,
              LastChangeDateTime=NOW - timedelta(days=3), **values)  # fmt: skip


def delivery(world: World, number: str, *, days: int = 5, status: str = "A", orders: tuple[str, ...] = ("7",)) -> None:
    served = [{"DeliveryDocumentItem": "10", "ReferenceSDDocument": one, "ReferenceSDDocumentItem": "10", "ActualDeliveryQuantity": Decimal(1),
               "DeliveryQuantityUnit": "PC", "DeliveryRelatedBillingStatus": status} for one in orders]  # fmt: skip
    world.put(
        "A_OutbDeliveryHeader", DeliveryDocument=number, SoldToParty="1", OverallDelivReltdBillgStatus=status, SDDocumentCategory="J",
        CreationDate=TODAY - timedelta(days=days), to_DeliveryDocumentItem=served,
    )  # fmt: skip


def test_an_order_that_was_deleted_is_missed_once_a_day(world: World) -> None:
    """It counts as open no longer; one that was complete was archived, and stays."""
    held = Held(world, "sales_orders", "sales_order")
    for number in range(10, 15):
        order(world, str(number))
    order(world, "15", "C")
    assert len(held.read()) == 6
    for gone in ("11", "15"):
        del world.rows["A_SalesOrder"][(gone,)]
    assert "11" in held.read(HOUR), "not looked for at every pull"
    assert held.read(DAY) == {"10", "12", "13", "14", "15"}
    order(world, "11")
    assert "11" in held.reread("11"), "it is there again"


def test_a_host_that_does_not_name_its_orders_is_read_all_the_same(world: World) -> None:
    """It refuses the question for numbers alone: nothing is missed, and nothing stands still."""
    held = Held(world, "sales_orders", "sales_order")
    order(world, "10")
    held.read()
    del world.rows["A_SalesOrder"][("10",)]
    world.put("A_SalesOrder", SalesOrder="11", SoldToParty="1", TransactionCurrency="EUR", LastChangeDateTime=NOW)
    world.hook = lambda asked: Reply(b"", 400) if asked.query.get("$select") == "SalesOrder" else None
    assert held.read(DAY) == {"10", "11"}


def test_what_an_event_names_and_is_not_there_is_gone(world: World) -> None:
    """Zeros before a number are tried with and without: the one that is there keeps the order."""
    held = Held(world, "sales_orders", "sales_order")
    order(world, "10")
    order(world, "11")
    held.read()
    del world.rows["A_SalesOrder"][("11",)]
    assert held.reread("0000000010", "10", "0000000011", "11") == {"10"}
    deliveries = Held(world, "deliveries", "delivery")
    delivery(world, "80")
    deliveries.read()
    world.rows["A_OutbDeliveryHeader"].clear()
    assert deliveries.reread("80") == set()


def test_a_delivery_that_was_deleted_is_open_no_longer(world: World) -> None:
    """By the next whole read; what was billed, or is older than what is read, is not missed. Of several orders' parts the one that is left."""
    held = Held(world, "deliveries", "delivery")
    delivery(world, "80")
    delivery(world, "81", orders=("7", "8"))
    delivery(world, "82", status="C")
    delivery(world, "83", days=179)
    assert held.read() == {"80", "81", "81/8", "82", "83"}
    del world.rows["A_OutbDeliveryHeader"][("80",)]
    del world.rows["A_OutbDeliveryHeader"][("82",)]
    delivery(world, "81")
    assert "80" in held.read(HOUR)
    assert held.read(4 * DAY) == {"81", "82", "83"}


def test_goods_that_came_back_left_on_no_day(world: World) -> None:
    """They were said to leave in three days: the stamps of the delivery are older than that, and count all the same."""
    held = Held(world, "deliveries", "delivery")
    delivery(world, "80", days=1)
    world.put("A_OutbDeliveryHeader", DeliveryDocument="80", ActualGoodsMovementDate=TODAY + timedelta(days=3))
    held.read()
    assert held.store.live("delivery")["80"]["goods_issued_on"] == TODAY + timedelta(days=3)
    world.put("A_OutbDeliveryHeader", DeliveryDocument="80", ActualGoodsMovementDate=None)
    held.read(HOUR)
    assert held.store.live("delivery")["80"]["goods_issued_on"] is None


def test_a_limit_that_was_taken_away_limits_nothing(world: World) -> None:
    """With the next read, as all are read each time; given again it counts again."""
    held = Held(world, "credit_accounts", "credit_limit")
    for number in range(4):
        world.put(
            "CreditManagementAccount",
            BusinessPartner=f"{number}",
            CreditSegment="",
            CreditLimitAmount=Decimal(9),
            CreditSegmentCurrency="EUR",
        )
    assert held.read() == {"0/", "1/", "2/", "3/"}
    assert b"present" not in held.pulled().pages[-1].body, "of what is as it was nothing is said again"
    gone = world.rows["CreditManagementAccount"].pop(("3", ""))
    assert held.read(HOUR) == {"0/", "1/", "2/"}
    world.rows["CreditManagementAccount"][("3", "")] = gone
    assert held.read(HOUR) == {"0/", "1/", "2/", "3/"}


def test_a_customer_that_is_there_no_more_is_deleted(world: World) -> None:
    """By the next whole read; vendors, whom a host gives that heeds no condition, are neither customers nor rejects."""
    world.filters = False
    held = Held(world, "customers", "customer")
    for number in ("1", "2"):
        world.put("A_BusinessPartner", BusinessPartner=number, Customer=number, CreationDate=TODAY)
        world.put("A_Customer", Customer=number, CustomerName=f"Customer {number}")
    world.put("A_BusinessPartner", BusinessPartner="9", CreationDate=TODAY)
    assert held.read() == {"1", "2"}
    assert held.store.rejects == []
    del world.rows["A_BusinessPartner"][("2",)]
    assert held.read(HOUR) == {"1", "2"}
    assert held.read(DAY) == {"1"}


def test_a_record_that_can_not_be_read_leaves_no_doubt_to_others(world: World) -> None:
    """As long as one of the limits says not whose it is nothing is said of what is missing."""
    held = Held(world, "credit_accounts", "credit_limit")
    for number in ("1", "2"):
        world.put("CreditManagementAccount", BusinessPartner=number, CreditSegment="", CreditLimitAmount=Decimal(9))
    held.read()
    world.rows["CreditManagementAccount"][("1", "")]["BusinessPartner"] = None
    assert held.read(HOUR) == {"1/", "2/"}
    del world.rows["CreditManagementAccount"][("1", "")]
    assert held.read(HOUR) == {"2/"}


def test_pro_forma_documents_are_no_invoices(world: World) -> None:
    """Also where a host gives them that were not asked for."""
    world.filters = False
    for number, category in (("90", "M"), ("91", "U")):
        world.put("A_BillingDocument", BillingDocument=number, SDDocumentCategory=category, PayerParty="1", TransactionCurrency="EUR",
                  BillingDocumentDate=TODAY, LastChangeDateTime=NOW)  # fmt: skip
    assert Held(world, "billing_documents", "invoice").read() == {"90"}
