"""Kyriba passes the contract suite, against a scripted tenant over real sockets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

import pytest

from sync.errors import PermanentError
from sync.ports import Cursor, Source
from sync.systems.kyriba import make_source
from tests.contracts.kyriba_tenant import LANDSCAPE, Tenant, account
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.suite_server import Reply, reply_json
from tests.contracts.suite_store import Store, pages_of, pull


class TenantCase(AdapterCase):
    """A stream of a scripted tenant."""

    system = "kyriba"

    def __init__(self) -> None:
        self.tenant = Tenant()

    def source(self) -> Source:
        return make_source(self.tenant.connection(), LANDSCAPE)

    def repeat_page(self) -> None:
        self.tenant.repeating = True

    def heal(self) -> None:
        self.tenant.repeating = False

    def close(self) -> None:
        self.tenant.server.close()


class Accounts(TenantCase):
    stream, entity, value_column = "accounts", "bank_account", "other_id"

    def put(self, key: str, worth: int, at: datetime) -> None:
        self.tenant.accounts[key] = account(key, number=str(worth), stamp=f"{at:%Y-%m-%dT%H:%M:%SZ}")

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self.put(key, worth, at)
        self.tenant.accounts[f"{key} again"] = self.tenant.accounts[key]

    def put_malformed(self, key: str, at: datetime) -> None:
        self.tenant.accounts[key] = account(key) | {"currency": {"code": "EURO"}}

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        return {"asked": (self.now + timedelta(days=365)).isoformat()}


class Balances(TenantCase):
    """An answer that is about another account than the asked one ends the pull: nothing of it may be believed."""

    stream, entity, value_column = "balances", "bank_balance", "amount"
    tells_moments = False
    means: ClassVar[Mapping[str, tuple[str, ...]]] = {"account.code": ("word",)}

    def __init__(self) -> None:
        super().__init__()
        self.days: dict[str, date] = {}

    def _put(self, key: str, amount: Any, at: datetime, times: int = 1) -> None:
        self.tenant.accounts[key] = account(key)
        self.tenant.balances[key] = [(self.days.setdefault(key, at.date()), amount)] * times

    def put(self, key: str, worth: int, at: datetime) -> None:
        self._put(key, float(worth), at)

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self._put(key, float(worth), at, times=2)

    def put_malformed(self, key: str, at: datetime) -> None:
        self._put(key, "n/a", at)

    def source_key(self, key: str) -> str:
        kind = "closing_booked" if self.days[key] < self.now.date() else "intraday"
        return f"{key}|{self.days[key]}|{kind}"

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        return {"through": (self.now.date() + timedelta(days=365)).isoformat()}


class CashFlows(TenantCase):
    stream, entity, value_column = "cash_flows", "forecast_item", "amount"

    def __init__(self) -> None:
        super().__init__()
        self.tenant.accounts = {code: account(code, company=company) for code, company in (("DE01-EUR", "DE01"), ("US01-USD", "US01"))}

    def _put(self, key: str, amount: Any, at: datetime) -> None:
        stamp = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        self.tenant.flows.append(
            {"uuid": key, "reference": f"R-{key}", "status": "ESTIMATED", "account": {"code": "US01-USD"}, "flowCode": {"code": "SUPPLIER"},
             "flowAmount": {"value": amount, "currency": {"code": "USD"}},
             "date": {"transactionDate": "2026-06-01", "valueDate": "2026-06-02", "creationDateTime": stamp, "updateDateTime": stamp}}
        )  # fmt: skip

    def put(self, key: str, worth: int, at: datetime) -> None:
        self.tenant.flows = [flow for flow in self.tenant.flows if flow["uuid"] != key]
        self._put(key, float(worth), at)

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self._put(key, float(worth), at)
        self._put(key, float(worth), at)

    def put_malformed(self, key: str, at: datetime) -> None:
        self._put(key, "n/a", at)

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        return {"since": (self.now + timedelta(days=365)).isoformat()}


class BankBalances(TenantCase):
    """Every key is an account, and its one balance is its record. None at all says that the bank has told nothing of that day;
    an answer that is about something else ends the pull."""

    stream, entity, value_column = "bank_balances", "bank_balance", "amount"
    tells_moments = False
    means: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "account.code": ("word",), "account": ("word",), "bankBalance": ("null", "gone"), "bankBalance.amount": ("null",),
    }  # fmt: skip

    def source(self) -> Source:
        return make_source(self.tenant.connection(bank_balance_history_days=6), LANDSCAPE)

    def _put(self, key: str, amount: Any, at: datetime) -> None:
        self.tenant.accounts[key] = account(key)
        self.tenant.bank_balances[key] = (at.date(), amount)

    def put(self, key: str, worth: int, at: datetime) -> None:
        self._put(key, float(worth), at)

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        """The account stands twice in the listing; a balance by itself can't."""
        self.put(key, worth, at)
        self.tenant.accounts[f"{key} again"] = self.tenant.accounts[key]

    def put_malformed(self, key: str, at: datetime) -> None:
        self._put(key, "n/a", at)

    def source_key(self, key: str) -> str:
        day, _ = self.tenant.bank_balances[key]
        return f"bank|{key}|{day}|{'closing_booked' if day < self.now.date() else 'intraday'}"

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        return {"through": (self.now.date() + timedelta(days=365)).isoformat()}


class Transfers(TenantCase):
    """A tenant may name its transfers by their numbers alone."""

    stream, entity, value_column = "transfers", "outgoing_payment", "amount"
    means: ClassVar[Mapping[str, tuple[str, ...]]] = {"uuid": ("gone", "null")}

    def _put(self, key: str, amount: Any, at: datetime) -> None:
        stamp = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        self.tenant.transfers.append(
            {"uuid": key, "transactionNumber": f"T-{key}", "reference": f"R-{key}", "status": "REGISTERED", "nextAction": "REMIT",
             "remittance": None, "amount": amount, "currency": {"code": "EUR"}, "valueDate": "2026-06-02", "updateDateTime": stamp,
             "debitAccount": {"code": "DE01-EUR"}, "counterparty": {"name": "Supplier"}}
        )  # fmt: skip

    def put(self, key: str, worth: int, at: datetime) -> None:
        self.tenant.transfers = [each for each in self.tenant.transfers if each["uuid"] != key]
        self._put(key, float(worth), at)

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self._put(key, float(worth), at)
        self._put(key, float(worth), at)

    def put_malformed(self, key: str, at: datetime) -> None:
        self._put(key, "n/a", at)

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        return {"asked": (self.now + timedelta(days=365)).isoformat()}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYRIBA_TEST_ID", "id")
    monkeypatch.setenv("KYRIBA_TEST_SECRET", "s3cret")


class TestAccounts(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Accounts() as case:
            yield case


class TestBalances(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Balances() as case:
            yield case


class TestCashFlows(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with CashFlows() as case:
            yield case


class TestBankBalances(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with BankBalances() as case:
            yield case


class TestTransfers(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Transfers() as case:
            yield case


def test_a_cash_flow_takes_region_and_entity_from_its_account() -> None:
    """The flow names an account, the account a company, the company a region."""
    with CashFlows() as case:
        case.put("k1", 7, case.now - timedelta(days=1))
        source = case.source()
        frames = [source.map("cash_flows", page).frames["forecast_item"] for page in pages_of(source, "cash_flows", None, now=case.now)]
        source.close()
        assert frames[0].select("legal_entity", "region", "account", "confidence").rows() == [("US01", "NA", "US01-USD", "estimated")]


def test_a_record_that_changes_while_it_is_paged_hides_no_other() -> None:
    """A flow that moves to the end between two pages shifts the rest: the filter moves on with the stamps, so none is skipped."""
    with CashFlows() as case:
        for n in range(1, 8):
            case.put(f"k{n}", n, case.now - timedelta(days=9 - n))
        source = case.source()
        seen: set[str] = set()
        for number, page in enumerate(pages_of(source, "cash_flows", None, now=case.now)):
            seen |= set(source.map("cash_flows", page).frames["forecast_item"]["source_key"].to_list())
            if number == 0:
                case.put("k1", 99, case.now)
        source.close()
        assert seen == {f"k{n}" for n in range(1, 8)}


@pytest.mark.parametrize(("case_of", "records"), [(Accounts, 5), (CashFlows, 5), (CashFlows, 6)])
def test_a_page_that_holds_a_record_twice_hides_no_other(case_of: type[TenantCase], records: int) -> None:
    """Records of one stamp are told apart by their place alone: a page longer than its limit still moves the place by the limit."""
    with case_of() as case:
        for n in range(1, records + 1):
            case.put(f"k{n}", 100 + n, case.now - timedelta(days=1))
        case.tenant.twice = True
        store = Store()
        source = case.source()
        pull(source, case.stream, None, store, now=case.now)
        source.close()
        assert set(store.live(case.entity)) == {f"k{n}" for n in range(1, records + 1)}


def test_a_tenant_that_does_not_sort_is_read_whole() -> None:
    """The first pages happen to be in order, and what is older comes later: the moved filter is taken back, no cursor was given early."""
    with CashFlows() as case:
        case.tenant.order = ""
        for key, days in (("k1", 5), ("k2", 4), ("k3", 9), ("k4", 1), ("k5", 8), ("k6", 2), ("k7", 7)):
            case.put(key, 100, case.now - timedelta(days=days))
        source, store = case.source(), Store()
        done = pull(source, "cash_flows", None, store, now=case.now)
        source.close()
        assert set(store.live("forecast_item")) == {f"k{n}" for n in range(1, 8)}
        assert [page.cursor is None for page in done.pages] == [True] * (len(done.pages) - 1) + [False]
        assert done.cursor == {"since": (case.now - timedelta(days=1)).isoformat()}


@pytest.mark.parametrize("case_of", [Accounts, CashFlows, Transfers])
def test_a_tenant_that_tells_no_total_is_read_by_its_links(case_of: type[TenantCase]) -> None:
    """The page that names no next one is the last."""
    with case_of() as case:
        case.tenant.says_total = False
        for n in range(1, 6):
            case.put(f"k{n}", n, case.now - timedelta(days=n))
        source, store = case.source(), Store()
        pull(source, case.stream, None, store, now=case.now)
        source.close()
        assert len(store.live(case.entity)) == 5


@pytest.mark.parametrize("case_of", [Balances, BankBalances])
def test_an_account_that_is_refused_costs_only_itself(case_of: type[TenantCase]) -> None:
    """Its refusal is one exception, said once; the others' balances land."""
    with case_of() as case:
        for n in (1, 2, 3):
            case.put(f"k{n}", n, case.now - timedelta(days=1))
        case.tenant.refused = {"k2": reply_json({"error": {"code": "Forbidden", "message": "not yours", "target": "account"}}, 403)}
        source, store = case.source(), Store()
        done = pull(source, case.stream, None, store, now=case.now)
        assert {row["account"] for row in store.live("bank_balance").values()} == {"k1", "k3"}
        assert {(reject["cause"], reject["source_key"]) for reject in store.rejects} == {("source_permanent", "k2")}
        quiet = Store()
        again = pull(source, case.stream, done.cursor, Store(), now=case.now)
        pull(source, case.stream, again.cursor, quiet, now=case.now)
        source.close()
        assert "not yours" in store.rejects[0]["evidence"]
        assert quiet.rejects == []


@pytest.mark.parametrize("case_of", [Balances, BankBalances])
@pytest.mark.parametrize(
    "refusal", [reply_json({"error": {"code": "Forbidden", "message": "no function"}}, 403), Reply(b"<html>", 404, "text/html")]
)
def test_an_api_that_is_refused_is_an_error(case_of: type[TenantCase], refusal: Reply) -> None:
    """No account is spared, or the API is not there at all: that is nobody's bad record."""
    with case_of() as case:
        for n in (1, 2):
            case.put(f"k{n}", n, case.now - timedelta(days=1))
        case.tenant.refused = dict.fromkeys(("k1", "k2"), refusal)
        source, store = case.source(), Store()
        with pytest.raises(PermanentError):
            pull(source, case.stream, None, store, now=case.now)
        source.close()
        assert store.rejects == []


@pytest.mark.parametrize("case_of", [Balances, BankBalances])
def test_a_tenant_that_knows_accounts_by_id_only_is_asked_by_it(case_of: type[TenantCase]) -> None:
    """The code is tried once; what the tenant takes is kept to, and the balances are the account's, by its code."""
    with case_of() as case:
        case.tenant.by_id = True
        for n in (1, 2, 3):
            case.put(f"k{n}", n, case.now - timedelta(days=1))
        source, store = case.source(), Store()
        pull(source, case.stream, None, store, now=case.now)
        source.close()
        assert {row["account"] for row in store.live("bank_balance").values()} == {"k1", "k2", "k3"}
        asked = [each.path.split("/")[-2] for each in case.tenant.server.asked if "-balances/" in each.path]
        assert asked[:2] == ["k1", "u-k1"]
        if case_of is Balances:
            assert asked == ["k1", "u-k1", "u-k2", "u-k3"]
        assert store.rejects == []


def test_cash_balances_that_name_no_account_are_those_of_the_asked_one() -> None:
    """The address says whose they are."""
    with Balances() as case:
        case.tenant.plain_balances = True
        case.put("k1", 5, case.now - timedelta(days=1))
        source, store = case.source(), Store()
        pull(source, "balances", None, store, now=case.now)
        source.close()
        assert {row["account"] for row in store.live("bank_balance").values()} == {"k1"}


def test_balances_are_asked_for_in_windows_of_31_days() -> None:
    """No window is longer than the API allows, and together they cover the configured history without a gap."""
    with Balances() as case:
        case.put("k1", 5, case.now - timedelta(days=70))
        source = make_source(case.tenant.connection(balance_history_days=80), LANDSCAPE)
        pages = list(pages_of(source, "balances", None, now=case.now))
        source.close()
        asked = [(a.query["startDate"], a.query["endDate"]) for a in case.tenant.server.asked if "startDate" in a.query]
        spans = [(date.fromisoformat(start), date.fromisoformat(end)) for start, end in asked]
        assert len(pages) == len(spans) == 3
        assert all((end - start).days <= 30 for start, end in spans)
        assert spans[0][0] == case.now.date() - timedelta(days=80)
        assert spans[-1][1] == case.now.date()
        assert all(later[0] == earlier[1] + timedelta(days=1) for earlier, later in itertools.pairwise(spans))


def test_an_unchanged_answer_brings_no_page() -> None:
    """Asked again with nothing new, only the page that carries the cursor comes; a changed balance brings its own."""
    with Balances() as case:
        for n in range(1, 5):
            case.put(f"k{n}", n, case.now - timedelta(days=1))
        source = case.source()
        cursor = list(pages_of(source, "balances", None, now=case.now))[-1].cursor
        quiet = list(pages_of(source, "balances", cursor, now=case.now))
        quiet = list(pages_of(source, "balances", quiet[-1].cursor, now=case.now))
        case.put("k1", 99, case.now - timedelta(days=1))
        changed = list(pages_of(source, "balances", quiet[-1].cursor, now=case.now))
        source.close()
        assert [str(page.name).split()[1] for page in quiet] == ["k4"]
        assert [str(page.name).split()[1] for page in changed] == ["k1", "k4"]
