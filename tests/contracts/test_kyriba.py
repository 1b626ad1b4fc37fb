"""Kyriba passes the contract suite, against a scripted tenant over real sockets."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from sync.connections import Connection, Landscape, LegalEntity
from sync.ports import Cursor, Source
from sync.systems.kyriba import make_source
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json
from tests.contracts.suite_store import Store, pages_of, pull

LANDSCAPE = Landscape(
    legal_entities=(
        LegalEntity(code="DE01", name="Meridian", region="EMEA", currency="EUR"),
        LegalEntity(code="US01", name="Meridian Inc", region="NA", currency="USD"),
    )
)


def account(code: str, *, number: str = "1", company: str = "DE01", stamp: str = "2026-05-01T08:00:00Z") -> dict[str, Any]:
    """An account as the API shows it."""
    return {"uuid": f"u-{code}", "code": code, "banCode": number, "ibanCode": None, "description": code, "bank": {"code": "COBA"},
            "company": {"code": company}, "currency": {"code": "EUR"}, "updateDate": stamp}  # fmt: skip


class Tenant:
    """A scripted tenant: accounts, balances per account and day, cash flows sorted by their stamp; pages of two."""

    def __init__(self) -> None:
        self.accounts: dict[str, dict[str, Any]] = {}
        self.balances: dict[str, list[tuple[date, Any]]] = {}
        self.flows: list[dict[str, Any]] = []
        self.repeating = False
        self.twice = False
        """Whether every page holds its first record twice, beyond its limit and uncounted."""
        self.repeated: dict[str, Reply] = {}
        self.token = "t1"
        self.server = ScriptedServer(self.answer)

    def connection(self, **options: Any) -> Connection:
        """The tenant as a connection."""
        return Connection(
            name="kyriba", system="kyriba", region="EMEA", allow_private_addresses=True,
            options={
                "base_url": f"{self.server.url}/gateway/api", "auth_url": f"{self.server.url}/gateway/oauth/token",
                "page_size": 2, "balance_history_days": 20, **options,
            },
            secrets={"client_id": "env:KYRIBA_TEST_ID", "client_secret": "env:KYRIBA_TEST_SECRET"},
        )  # fmt: skip

    def answer(self, asked: Asked) -> Reply:
        """One answer; while repeating, the first answer of each resource comes again and again."""
        if asked.path == "/gateway/oauth/token":
            assert asked.headers["authorization"].startswith("Basic ")
            return reply_json({"access_token": self.token, "token_type": "bearer", "expires_in": 3600})
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return reply_json({"error": "invalid_token"}, 401)
        path = asked.path.removeprefix("/gateway/api/v1/")
        if not self.repeating:
            return self._fresh(path, asked)
        return self.repeated.setdefault(path.partition("/")[0], self._fresh(path, asked))

    def _fresh(self, path: str, asked: Asked) -> Reply:
        if path == "accounts":
            return self._listing(list(self.accounts.values()), asked)
        if path == "cash-flows":
            since = re.findall(r"updateDateTime=ge=(.+)", asked.query.get("filter", ""))
            rows = [flow for flow in self.flows if not since or flow["date"]["updateDateTime"] >= since[0]]
            return self._listing(sorted(rows, key=lambda flow: str(flow["date"]["updateDateTime"])), asked)
        code = unquote(path.split("/")[2])
        start, end = date.fromisoformat(asked.query["startDate"]), date.fromisoformat(asked.query["endDate"])
        rows = [
            {"account": {"code": code}, "amount": amount, "date": str(day), "currencyCode": "EUR"}
            for day, amount in self.balances.get(code, ())
            if start <= day <= end
        ]
        return reply_json({"account": {"code": code}, "cashBalance": rows})

    def _listing(self, rows: list[dict[str, Any]], asked: Asked) -> Reply:
        limit, offset = int(asked.query["page.limit"]), int(asked.query["page.offset"])
        page = rows[offset : offset + limit]
        page = page[:1] * self.twice + page
        told = {"numberOfTotalResults": len(rows), "pageLimit": limit, "pageOffset": offset, "pageResults": len(page), "links": {}}
        return Reply(json.dumps({"metadata": told, "results": page}).encode())


class _Case(AdapterCase):
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


class Accounts(_Case):
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


class Balances(_Case):
    stream, entity, value_column = "balances", "bank_balance", "amount"

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


class CashFlows(_Case):
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
def test_a_page_that_holds_a_record_twice_hides_no_other(case_of: type[_Case], records: int) -> None:
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
