"""S/4HANA passes the contract suite in its other forms too: OData V4, hosts without paging, deliveries and journal lines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from sync.ports import Source
from sync.systems.sap_s4 import make_source
from tests.contracts.odata_server import LANDSCAPE, v2, v2_day
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.test_sap_s4 import Bills, Orders, S4Case


class V4Orders(Orders):
    """Sales orders as V4 has them: ISO dates, decimals as numbers, an annotation for the ETag."""

    def source(self) -> Source:
        return make_source(self.host.connection(services={"API_SALES_ORDER_SRV": {"protocol": "v4"}}), LANDSCAPE)

    def record(self, key: str, worth: int, at: datetime) -> dict[str, Any]:
        plain = super().record(key, worth, at)
        del plain["__metadata"]
        dates = dict.fromkeys(("SalesOrderDate", "CreationDate"), f"{at:%Y-%m-%d}")
        moment = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}0Z"
        return {"@odata.etag": f'W/"{moment}"', **plain, **dates, "TotalNetAmount": worth + 0.0, "LastChangeDateTime": moment}


class UnpagedBills(Bills):
    """A host that counts nothing, links nothing, and gives all there is."""

    def __init__(self) -> None:
        super().__init__()
        self.host.paging = "none"

    def repeat_page(self) -> None:
        """It repeats by itself: each answer holds what the last one held."""


class DeafOrders(Orders):
    """A host that heeds no condition: only the number of a record leads on."""

    def __init__(self) -> None:
        super().__init__()
        self.host.paging = "deaf"

    def repeat_page(self) -> None:
        """A host of pages by number repeats none."""


class DeliveriesOf(S4Case):
    """Deliveries whose worth is that of the order items which they serve."""

    stream, entity, value_column = "deliveries", "delivery", "value"
    tells_moments, needs = False, "CreationDate"
    base, mark = 0, r'(?<="k)\d+(?=")'
    entity_set, key = "A_OutbDeliveryHeader", "DeliveryDocument"

    def record(self, key: str, worth: int, at: datetime) -> dict[str, Any]:
        rows = self.host.records["A_SalesOrderItem"]
        item = {"SalesOrder": f"o{key}", "SalesOrderItem": "10", "NetAmount": f"{worth}.00", "TransactionCurrency": "EUR",
                "RequestedQuantity": "3", "RequestedQuantityUnit": "PC"}  # fmt: skip
        rows[:] = [*(row for row in rows if row["SalesOrder"] != f"o{key}"), item]
        served = {"DeliveryDocumentItem": "000010", "ReferenceSDDocument": f"o{key}", "ReferenceSDDocumentItem": "000010",
                  "ActualDeliveryQuantity": "3.000", "DeliveryQuantityUnit": "PC", "DeliveryRelatedBillingStatus": "A"}  # fmt: skip
        return {
            "DeliveryDocument": key, "SoldToParty": "10100001", "ActualGoodsMovementDate": v2_day(at), "LastChangeDate": v2_day(at),
            "OverallDelivReltdBillgStatus": "A", "CreationDate": v2_day(at), "OverallGoodsMovementStatus": "C",
            "OverallSDProcessStatus": "B", "SalesOrganization": "1010", "TransactionCurrency": "EUR", "SDDocumentCategory": "J",
            "to_DeliveryDocumentItem": {"results": [served]},
        }  # fmt: skip

    def put_malformed(self, key: str, at: datetime) -> None:
        self.host.records[self.entity_set].append({**self.record(key, 1, at), "CreationDate": "/Date(31022026)/x"})


class JournalLines(S4Case):
    """Lines of the general ledger."""

    stream, entity, value_column = "journal_lines", "gl_posting", "amount"
    entity_set, key = "GLAccountLineItem", "AccountingDocument"

    def source_key(self, key: str) -> str:
        return f"0L/1010/2026/{key}/000002"

    def record(self, key: str, worth: int, at: datetime) -> dict[str, Any]:
        return {
            "CompanyCode": "1010", "FiscalYear": "2026", "AccountingDocument": key, "LedgerGLLineItem": "000002", "Ledger": "0L",
            "SourceLedger": "0L", "GLAccount": "41000000", "AmountInTransactionCurrency": f"{worth}", "TransactionCurrency": "EUR",
            "PostingDate": v2_day(at), "LastChangeDateTime": v2(at), "CreationDateTime": v2(at), "DebitCreditCode": "S",
            "IsReversal": False, "IsReversed": False, "ClearingDate": None, "FinancialAccountType": "S", "AccountingDocumentType": "RV",
        }  # fmt: skip

    def put_malformed(self, key: str, at: datetime) -> None:
        self.host.records[self.entity_set].append({**self.record(key, 1, at), "AmountInTransactionCurrency": "1.234,5x"})


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")


class TestV4Orders(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with V4Orders() as case:
            yield case


class TestUnpagedBills(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with UnpagedBills() as case:
            yield case


class TestDeafOrders(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with DeafOrders() as case:
            yield case


class TestDeliveries(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with DeliveriesOf() as case:
            yield case


class TestJournalLines(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with JournalLines() as case:
            yield case
