"""S/4HANA passes the contract suite, against a scripted host over real sockets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest

from sync.ports import Cursor, Source
from sync.systems.sap_s4 import make_source
from tests.contracts.odata_server import LANDSCAPE, Host, v2, v2_day
from tests.contracts.suite import AdapterCase, AdapterSuite


class S4Case(AdapterCase):
    """One entity set of a scripted host."""

    system = "sap_s4"

    entity_set: ClassVar[str]
    key: ClassVar[str]

    def __init__(self) -> None:
        self.host = Host()

    def source(self) -> Source:
        return make_source(self.host.connection(), LANDSCAPE)

    def record(self, key: str, worth: int, at: datetime) -> dict[str, Any]:
        raise NotImplementedError

    def put(self, key: str, worth: int, at: datetime) -> None:
        rows = self.host.records[self.entity_set]
        rows[:] = [row for row in rows if row[self.key] != key]
        rows.append(self.record(key, worth, at))

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self.host.records[self.entity_set] += [self.record(key, worth, at), self.record(key, worth, at)]

    def repeat_page(self) -> None:
        self.host.repeating = True

    def heal(self) -> None:
        self.host.repeating = False

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        assert cursor is not None
        return {name: self._ahead(name, value) for name, value in cursor.items()}

    def _ahead(self, name: str, value: Any) -> Any:
        if name not in ("since", "full_at", "read_at"):
            return value
        return (datetime.fromisoformat(value) + timedelta(days=365)).isoformat()

    def close(self) -> None:
        self.host.server.close()


class Orders(S4Case):
    stream, entity, value_column = "sales_orders", "sales_order", "net_value"
    entity_set, key = "A_SalesOrder", "SalesOrder"

    def record(self, key: str, worth: int, at: datetime) -> dict[str, Any]:
        return {
            "__metadata": {"etag": "W/\"datetimeoffset'2016-09-02T06%3A15%3A47.1257050Z'\"", "type": "A_SalesOrderType"},
            "SalesOrder": key, "SoldToParty": "10100001", "SalesOrganization": "1010", "PurchaseOrderByCustomer": "00000100",
            "TotalNetAmount": f"{worth}.00", "TransactionCurrency": "EUR", "SalesOrderDate": v2_day(at), "CreationDate": v2_day(at),
            "RequestedDeliveryDate": None, "DeliveryBlockReason": "01", "HeaderBillingBlockReason": "", "TotalCreditCheckStatus": "B",
            "OverallSDProcessStatus": "A", "OverallTotalDeliveryStatus": "A", "OverallSDDocumentRejectionSts": "A",
            "LastChangeDateTime": v2(at),
        }  # fmt: skip

    def put_malformed(self, key: str, at: datetime) -> None:
        self.host.records[self.entity_set].append({**self.record(key, 1, at), "TotalNetAmount": "1.234,5x"})


class Bills(S4Case):
    stream, entity, value_column = "billing_documents", "invoice", "gross"
    entity_set, key = "A_BillingDocument", "BillingDocument"

    def record(self, key: str, worth: int, at: datetime) -> dict[str, Any]:
        return {
            "BillingDocument": key, "SDDocumentCategory": "M", "BillingDocumentDate": v2_day(at), "BillingDocumentIsCancelled": False,
            "CancelledBillingDocument": "", "TotalGrossAmount": f"{worth}", "TaxAmount": "0", "TransactionCurrency": "EUR",
            "PayerParty": "10100001", "SoldToParty": "10100001", "CompanyCode": "1010", "FiscalYear": "2026", "Country": "DE",
            "AccountingDocument": "9400000001", "PaymentReference": key, "CustomerPaymentTerms": "NT30", "FixedValueDate": None,
            "AdditionalValueDays": "0", "DunningBlockingReason": "", "AccountingPostingStatus": "C", "LastChangeDateTime": v2(at),
            "to_Item": {"results": [{"SalesDocument": "1000001"}]},
        }  # fmt: skip

    def put_malformed(self, key: str, at: datetime) -> None:
        self.host.records[self.entity_set].append({**self.record(key, 1, at), "BillingDocumentDate": "/Date(31022026)/x"})


class Items(S4Case):
    stream, entity, value_column = "accounting_items", "payment", "amount"
    tells_moments = False
    means: ClassVar[Mapping[str, tuple[str, ...]]] = {  # other words make it a bill's item, a down payment, or no payment
        "SpecialGLCode": ("word",), "AccountingDocumentType": ("word",), "BillingDocument": ("word",), "FinancialAccountType": ("word",),
    }  # fmt: skip
    entity_set, key = "A_OperationalAcctgDocItemCube", "AccountingDocument"

    def source_key(self, key: str) -> str:
        return f"1010/2026/{key}"

    def record(self, key: str, worth: int, at: datetime) -> dict[str, Any]:
        return {
            "CompanyCode": "1010", "FiscalYear": "2026", "AccountingDocument": key, "AccountingDocumentItem": "001",
            "FinancialAccountType": "D", "Customer": "10100001", "AmountInTransactionCurrency": f"-{worth}.00",
            "TransactionCurrency": "EUR", "DebitCreditCode": "H", "AccountingDocumentType": "DZ", "SpecialGLCode": "",
            "LastChangeDate": v2_day(at), "AccountingDocumentCreationDate": v2_day(at), "PostingDate": v2_day(at),
            "DocumentDate": v2_day(at), "ValueDate": v2_day(at), "ClearingDate": None, "ClearingCreationDate": None,
            "ClearingAccountingDocument": "", "ClearingDocFiscalYear": "", "IsCleared": False, "BillingDocument": "",
            "InvoiceReference": "", "InvoiceReferenceFiscalYear": "", "PaymentReference": "E2E", "DocumentReferenceID": key,
            "IsReversal": False, "IsReversed": False, "GLAccount": "12100000", "AssignmentReference": "", "HouseBankAccount": "EUR",
        }  # fmt: skip

    def put_malformed(self, key: str, at: datetime) -> None:
        self.host.records[self.entity_set].append({**self.record(key, 1, at), "AmountInTransactionCurrency": "1.234,5x"})


class Limits(S4Case):
    stream, entity, value_column = "credit_accounts", "credit_limit", "limit_amount"
    tells_moments = False
    entity_set, key = "CreditManagementAccount", "BusinessPartner"

    def source_key(self, key: str) -> str:
        return f"{key}/1000"

    def record(self, key: str, worth: int, at: datetime) -> dict[str, Any]:
        return {
            "BusinessPartner": key, "CreditSegment": "1000", "CreditLimitAmount": f"{worth}", "CreditSegmentCurrency": "EUR",
            "CreditAccountIsBlocked": False, "CreditLimitLastChangeDate": v2_day(at),
        }  # fmt: skip

    def put_malformed(self, key: str, at: datetime) -> None:
        self.host.records[self.entity_set].append({**self.record(key, 1, at), "CreditLimitAmount": "many"})


class Customers(S4Case):
    """What changes of a customer is its terms, which stand in its company record."""

    stream, entity, value_column = "customers", "customer", "payment_terms_days"
    entity_set, key = "A_BusinessPartner", "BusinessPartner"
    tells_moments, needs = False, "LastChangeDate"
    base, mark = 0, r'(?<="k)\d+(?=")'

    def record(self, key: str, worth: int, at: datetime) -> dict[str, Any]:
        beside: dict[str, dict[str, Any]] = {
            "A_Customer": {"Customer": key, "CustomerName": f"Company {key}", "OrderIsBlockedForCustomer": "", "VATRegistration": "DE1",
                           "DeliveryIsBlocked": "", "BillingIsBlockedForCustomer": "", "PostingIsBlocked": False,
                           "DeletionIndicator": False, "CustomerCorporateGroup": "", "CustomerClassification": ""},
            "A_CustomerCompany": {"Customer": key, "CompanyCode": "1010", "PaymentTerms": f"NT{worth}"},
        }  # fmt: skip
        for name, record in beside.items():
            rows = self.host.records[name]
            rows[:] = [*(row for row in rows if row["Customer"] != key), record]
        seconds = at.hour * 3600 + at.minute * 60 + at.second
        return {
            "BusinessPartner": key, "Customer": key, "BusinessPartnerFullName": f"Company {key}", "BusinessPartnerName": "",
            "LastChangeDate": v2_day(at), "LastChangeTime": f"PT{seconds // 3600:02d}H{seconds // 60 % 60:02d}M{seconds % 60:02d}S",
            "CreationDate": v2_day(at), "CreationTime": "PT00H00M00S", "BusinessPartnerIsBlocked": False, "IsMarkedForArchiving": False,
        }  # fmt: skip

    def put_malformed(self, key: str, at: datetime) -> None:
        self.host.records[self.entity_set].append({**self.record(key, 1, at), "LastChangeDate": "/Date(31022026)/x"})


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")


class TestOrders(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Orders() as case:
            yield case


class TestBills(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Bills() as case:
            yield case


class TestItems(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Items() as case:
            yield case


class TestLimits(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Limits() as case:
            yield case


class TestCustomers(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Customers() as case:
            yield case
