"""Salesforce passes the contract suite, against a scripted org over real sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest

from sync.connections import Connection, Landscape, LegalEntity
from sync.ports import Cursor, Source
from sync.systems.salesforce import make_source
from tests.contracts.suite import AdapterCase, AdapterSuite
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json
from tests.contracts.suite_store import pages_of

PAGE = 2
LANDSCAPE = Landscape(legal_entities=(LegalEntity(code="DE01", name="Meridian", region="EMEA", currency="EUR"),))
FIELDS = {
    "Account": ["Name", "AccountNumber", "BillingCountryCode", "ERP_Customer_Number__c"],
    "Opportunity": ["Name", "AccountId", "StageName", "Amount", "CurrencyIsoCode", "CloseDate", "Probability", "IsClosed", "IsWon", "Legal_Entity__c"],
    "Quote": ["QuoteNumber", "OpportunityId", "AccountId", "Status", "ExpirationDate", "GrandTotal", "TotalPrice", "CurrencyIsoCode", "Legal_Entity__c"],
    "Contract": ["ContractNumber", "AccountId", "StatusCode", "Contract_Value__c", "CurrencyIsoCode", "StartDate", "EndDate", "ActivatedDate", "Legal_Entity__c"],
    "Order": ["OrderNumber", "AccountId", "ContractId", "StatusCode", "TotalAmount", "EffectiveDate", "CurrencyIsoCode", "Legal_Entity__c"],
}  # fmt: skip


class Org:
    """A scripted org: records by object and id; pages of two; a locator that dies with the session."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in FIELDS}
        self.twice: set[str] = set()
        self.repeating = False
        self.token = "t1"
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.server = ScriptedServer(self.answer)

    def connection(self, **options: Any) -> Connection:
        """The org as a connection."""
        return Connection(
            name="salesforce", system="salesforce", region="EMEA", allow_private_addresses=True,
            options={"base_url": self.server.url, "page_size": PAGE, **options},
            secrets={"client_id": "env:SF_TEST_ID", "client_secret": "env:SF_TEST_SECRET"},
        )  # fmt: skip

    def put(self, name: str, record: dict[str, Any], at: datetime) -> None:
        """The org holds the record, stamped `at`."""
        stamp = f"{at:%Y-%m-%dT%H:%M:%S}.000+0000"
        url = f"/services/data/v67.0/sobjects/{name}/{record['Id']}"
        head = {"attributes": {"type": name, "url": url}, "SystemModstamp": stamp, "IsDeleted": False}
        self.records[name][record["Id"]] = {**head, **record}

    def answer(self, asked: Asked) -> Reply:
        """One answer."""
        if asked.path == "/services/oauth2/token":
            return reply_json({"access_token": self.token, "instance_url": self.server.url, "token_type": "Bearer"})
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return reply_json([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)
        if asked.path.endswith("/describe"):
            names = ["Id", "SystemModstamp", "IsDeleted", *FIELDS[asked.path.split("/")[-2]]]
            return reply_json({"fields": [{"name": name} for name in names]})
        if asked.path.endswith("/queryAll"):
            return self._page(self._asked(asked.query["q"]), 0)
        locator, _, offset = asked.path.rpartition("/")[2].rpartition("-")
        if locator not in self.answers:
            return reply_json([{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}], 400)
        return self._page(locator, int(offset))

    def _asked(self, query: str) -> str:
        name = re.findall(r"FROM (\w+)", query)[0]
        since = re.findall(r"SystemModstamp >= (\S+)", query)
        rows = sorted(self.records[name].values(), key=lambda row: (row["SystemModstamp"], row["Id"] or ""))
        rows = [row for row in rows if not since or row["SystemModstamp"] >= since[0].replace("Z", ".000+0000")]
        if after := re.findall(r"OR Id > '(\w+)'", query):
            at = since[0].replace("Z", ".000+0000")
            rows = [row for row in rows if row["SystemModstamp"] > at or row["Id"] > after[0]]
        rows = [row for row in rows for _ in range(2 if row["Id"] in self.twice else 1)]
        locator = f"01g{len(self.answers)}"
        self.answers[locator] = rows
        return locator

    def _page(self, locator: str, offset: int) -> Reply:
        rows = self.answers[locator]
        done = offset + PAGE >= len(rows)
        following = offset if self.repeating and offset else offset + PAGE
        page: dict[str, Any] = {"totalSize": len(rows), "done": done, "records": rows[offset : offset + PAGE]}
        if not done:
            page["nextRecordsUrl"] = f"/services/data/v67.0/query/{locator}-{following}"
        return Reply(json.dumps(page).encode(), headers={"Sforce-Limit-Info": "api-usage=18/5000"})


class _Case(AdapterCase):
    system = "salesforce"
    name: ClassVar[str]
    means: ClassVar[Mapping[str, tuple[str, ...]]] = {"IsDeleted": ("flag",)}

    def __init__(self) -> None:
        self.org = Org()
        self.options: dict[str, Any] = {}

    def source(self) -> Source:
        return make_source(self.org.connection(**self.options), LANDSCAPE)

    def record(self, key: str, worth: int) -> dict[str, Any]:
        raise NotImplementedError

    def broken(self, key: str) -> dict[str, Any]:
        raise NotImplementedError

    def put(self, key: str, worth: int, at: datetime) -> None:
        self.org.put(self.name, {"Id": key, **self.record(key, worth)}, at)

    def put_twice(self, key: str, worth: int, at: datetime) -> None:
        self.put(key, worth, at)
        self.org.twice.add(key)

    def put_malformed(self, key: str, at: datetime) -> None:
        self.org.put(self.name, {"Id": key, **self.record(key, 1), **self.broken(key)}, at)

    def repeat_page(self) -> None:
        self.org.repeating = True

    def heal(self) -> None:
        self.org.repeating = False

    def future_cursor(self, cursor: Cursor | None) -> Cursor:
        assert cursor is not None
        return {"since": (datetime.fromisoformat(cursor["since"]) + timedelta(days=365)).isoformat()}

    def close(self) -> None:
        self.org.server.close()


class Opportunities(_Case):
    stream, entity, value_column, name = "opportunities", "opportunity", "amount", "Opportunity"

    def record(self, key: str, worth: int) -> dict[str, Any]:
        return {"Name": f"Deal {key}", "AccountId": "001A", "StageName": "Negotiation", "Amount": float(worth), "CurrencyIsoCode": "EUR",
                "CloseDate": "2026-06-30", "Probability": 50.0, "IsClosed": False, "IsWon": False, "Legal_Entity__c": "DE01"}  # fmt: skip

    def broken(self, key: str) -> dict[str, Any]:
        return {"Amount": "12.345,67x"}


class Quotes(_Case):
    stream, entity, value_column, name = "quotes", "quote", "amount", "Quote"
    means: ClassVar[Mapping[str, tuple[str, ...]]] = {"IsDeleted": ("flag",), "GrandTotal": ("null",)}

    def record(self, key: str, worth: int) -> dict[str, Any]:
        return {"QuoteNumber": f"Q-{key}", "OpportunityId": "006A", "AccountId": "001A", "Status": "Presented", "ExpirationDate": "2026-07-31",
                "GrandTotal": float(worth), "TotalPrice": worth - 0.5, "CurrencyIsoCode": "EUR", "Legal_Entity__c": "DE01"}  # fmt: skip

    def broken(self, key: str) -> dict[str, Any]:
        return {"ExpirationDate": "31.07.2026"}


class Contracts(_Case):
    stream, entity, value_column, name = "contracts", "contract", "value", "Contract"

    def record(self, key: str, worth: int) -> dict[str, Any]:
        return {"ContractNumber": f"C-{key}", "AccountId": "001A", "StatusCode": "Activated", "Contract_Value__c": float(worth),
                "CurrencyIsoCode": "USD", "StartDate": "2026-01-01", "EndDate": None, "ActivatedDate": "2026-01-01T10:00:00.000+0000",
                "Legal_Entity__c": None}  # fmt: skip

    def broken(self, key: str) -> dict[str, Any]:
        return {"StartDate": "2026-02-31"}


class Orders(_Case):
    stream, entity, value_column, name = "orders", "sales_order", "net_value", "Order"

    def __init__(self) -> None:
        super().__init__()
        self.options = {"orders_as": "sales_order"}

    def record(self, key: str, worth: int) -> dict[str, Any]:
        return {"OrderNumber": f"O-{key}", "AccountId": "001A", "ContractId": "800A", "Contract": {"ContractNumber": "C-1"}, "StatusCode": "Activated",
                "TotalAmount": float(worth), "EffectiveDate": "2026-02-01", "CurrencyIsoCode": "EUR", "Legal_Entity__c": "DE01"}  # fmt: skip

    def broken(self, key: str) -> dict[str, Any]:
        return {"CurrencyIsoCode": "XXQ"}


class Accounts(_Case):
    stream, entity, value_column, name = "accounts", "customer", "number", "Account"

    def record(self, key: str, worth: int) -> dict[str, Any]:
        return {"Name": f"Customer {key}", "AccountNumber": str(worth), "BillingCountryCode": "DE", "ERP_Customer_Number__c": str(worth)}

    def broken(self, key: str) -> dict[str, Any]:
        return {"SystemModstamp": "2026-05-18T25:00:00.000+0000"}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SF_TEST_ID", "id")
    monkeypatch.setenv("SF_TEST_SECRET", "s3cret")


class TestOpportunities(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Opportunities() as case:
            yield case


class TestQuotes(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Quotes() as case:
            yield case


class TestContracts(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Contracts() as case:
            yield case


class TestOrders(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Orders() as case:
            yield case


class TestAccounts(AdapterSuite):
    @pytest.fixture
    def case(self) -> Iterator[AdapterCase]:
        with Accounts() as case:
            yield case


def test_every_stream_has_its_case() -> None:
    """What the org is read for, the suite has tried: a new stream comes with a case."""
    tried = {case.stream for case in (Accounts, Opportunities, Quotes, Contracts, Orders)}
    with Orders() as case, closing(case.source()) as source:
        assert {stream.name for stream in source.streams()} == tried


def test_a_session_that_ends_between_pages_starts_the_query_anew() -> None:
    """The locator died with its session: a new token and a new query bring every record, and only one login more."""
    with Opportunities() as case:
        for n in range(1, 8):
            case.put(f"k{n}", n, case.now - timedelta(days=n))
        source = case.source()
        seen: set[str] = set()
        for number, page in enumerate(pages_of(source, "opportunities", None, now=case.now)):
            seen |= set(source.map("opportunities", page).frames["opportunity"]["source_key"].to_list())
            if number == 1:
                case.org.token = "t2"
                case.org.answers.clear()
        source.close()
        assert seen == {f"k{n}" for n in range(1, 8)}
        assert sum(asked.path == "/services/oauth2/token" for asked in case.org.server.asked) == 2


def test_a_deleted_record_lands_as_deleted() -> None:
    """What queryAll marks as deleted is a version of the record that is deleted."""
    with Opportunities() as case:
        case.put("k1", 5, case.now - timedelta(days=2))
        case.org.records["Opportunity"]["k1"]["IsDeleted"] = True
        source = case.source()
        frames = [source.map("opportunities", page).frames["opportunity"] for page in pages_of(source, "opportunities", None, now=case.now)]
        source.close()
        assert frames[0].select("source_key", "is_deleted").rows() == [("k1", True)]
