"""Every HTTP adapter under the wire fault suite. A new adapter adds a class of a few lines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync.ports import Source
from sync.systems.kyriba import make_source as kyriba
from tests.contracts import test_modern_treasury as treasury
from tests.contracts.kyriba_tenant import LANDSCAPE as KYRIBA_LANDSCAPE
from tests.contracts.suite import DAY
from tests.contracts.suite_drift import DriftSuite
from tests.contracts.suite_wire import Wire, WireSuite
from tests.contracts.test_ecb import Daily, History
from tests.contracts.test_kyriba import Accounts, Balances, BankBalances, CashFlows, TenantCase, Transfers
from tests.contracts.test_kyriba_statements import Statements
from tests.contracts.test_rest import Invoices as RestInvoices
from tests.contracts.test_salesforce import Accounts as SalesforceAccounts
from tests.contracts.test_salesforce import Contracts, Opportunities, Quotes
from tests.contracts.test_salesforce import Orders as SalesforceOrders
from tests.contracts.test_sap_s4 import Bills, Customers, Items, Limits, Orders
from tests.contracts.test_sap_s4_more import DeliveriesOf, JournalLines, V4Orders
from tests.contracts.test_tryton import Invoices
from tests.contracts.test_tryton_streams import Opportunities as TrytonOpportunities
from tests.contracts.test_tryton_streams import Parties, Payments, Receipts, Sales

SECRETS = {
    "SF_TEST_ID": "id", "SF_TEST_SECRET": "s3cret", "S4_TEST_USER": "TIDEGATE", "S4_TEST_PASSWORD": "s3cret",
    "KYRIBA_TEST_ID": "id", "KYRIBA_TEST_SECRET": "s3cret", "TRYTON_TEST_USER": "tidegate", "TRYTON_TEST_PASSWORD": "s3cret",
    "MT_TEST_ORGANIZATION": "org-id", "MT_TEST_KEY": "s3cret",
    "REST_TEST_CLIENT_ID": "id", "REST_TEST_CLIENT_SECRET": "s3cret", "REST_TEST_KEY": "s3cret",
}  # fmt: skip


EXPIRED = b'[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]'


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


class TestSalesforce(WireSuite, DriftSuite):
    @pytest.fixture(params=[Contracts, Opportunities, Quotes, SalesforceOrders, SalesforceAccounts])
    def wire(self, request: pytest.FixtureRequest) -> Iterator[Wire]:
        with request.param() as case:
            yield Wire(case, case.org.server, refusal=EXPIRED)


class TestSapS4(WireSuite, DriftSuite):
    @pytest.fixture(params=[Orders, Bills, Items, Limits, Customers, DeliveriesOf, JournalLines])
    def wire(self, request: pytest.FixtureRequest) -> Iterator[Wire]:
        with request.param() as case:
            yield Wire(case, case.host.server, renews=False)


class TestSapS4V4(WireSuite, DriftSuite):
    @pytest.fixture
    def wire(self) -> Iterator[Wire]:
        with V4Orders() as case:
            yield Wire(case, case.host.server, renews=False)


class ClosedDays(BankBalances):
    """A call for each account and day is more than a failing pull may make: few days, and all accounts in one page."""

    late_by = DAY / 2

    def source(self) -> Source:
        options = {"bank_balance_types": ["END_OF_DAY"], "bank_balance_history_days": 5, "page_size": 10}
        return kyriba(self.tenant.connection(**options), KYRIBA_LANDSCAPE)


class TestKyriba(WireSuite, DriftSuite):
    @pytest.fixture(params=[Accounts, Balances, ClosedDays, CashFlows, Transfers])
    def wire(self, request: pytest.FixtureRequest) -> Iterator[Wire]:
        kind: type[TenantCase] = request.param
        with kind() as case:
            yield Wire(case, case.tenant.server)


class TestKyribaStatements(WireSuite):
    @pytest.fixture
    def wire(self) -> Iterator[Wire]:
        with Statements() as case:
            yield Wire(case, case.tenant.server)


class TestEcb(WireSuite):
    @pytest.fixture(params=[Daily, History])
    def wire(self, request: pytest.FixtureRequest) -> Iterator[Wire]:
        with request.param() as case:
            yield Wire(case, case.files.server, renews=False, one_call=True)


class TestTryton(WireSuite, DriftSuite):
    @pytest.fixture(params=[Invoices, Parties, Sales, Receipts, Payments, TrytonOpportunities])
    def wire(self, request: pytest.FixtureRequest) -> Iterator[Wire]:
        with request.param() as case:
            yield Wire(case, case.books.server, is_login=lambda asked: b"common.db.login" in asked.body)


class TestModernTreasury(WireSuite, DriftSuite):
    @pytest.fixture(params=[treasury.Accounts, treasury.Balances, treasury.Transactions, treasury.ExpectedPayments, treasury.PaymentOrders,
                            treasury.IncomingPayments])  # fmt: skip
    def wire(self, request: pytest.FixtureRequest) -> Iterator[Wire]:
        with request.param() as case:
            yield Wire(
                case, case.organisation.server, renews=False, refusal=b'{"errors":{"code":"invalid_key","message":"no","parameter":null}}'
            )


class TestRestWithTokens(WireSuite, DriftSuite):
    @pytest.fixture
    def wire(self) -> Iterator[Wire]:
        with RestInvoices("cursor", "oauth2") as case:
            yield Wire(case, case.app.server)


class TestRestWithAKey(WireSuite, DriftSuite):
    @pytest.fixture
    def wire(self) -> Iterator[Wire]:
        with RestInvoices("link", "header") as case:
            yield Wire(case, case.app.server, renews=False)
