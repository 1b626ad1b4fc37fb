"""Sentences of the vendor's contract, each tried against an org that knows nothing of us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sync.connections import ConfigError
from sync.errors import AuthError, PermanentError, QuotaError, TransientError
from sync.ports import Cursor, Order, Page, Pending
from sync.systems.salesforce import make_source, make_target
from sync.systems.salesforce.settings import settings_of
from tests.contracts.salesforce_strict_org import STANDARD, StrictOrg
from tests.contracts.suite import DAY, MINUTE, NOW
from tests.contracts.suite_server import Asked, Reply, reply_json
from tests.contracts.suite_store import Store, pages_of, pull
from tests.contracts.test_salesforce import LANDSCAPE
from tests.contracts.test_salesforce_bulk import BulkContracts

CREATED = reply_json({"id": "001A", "success": True, "errors": [], "created": True})


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SF_TEST_ID", "id")
    monkeypatch.setenv("SF_TEST_SECRET", "s3cret")


@pytest.fixture
def org() -> Iterator[StrictOrg]:
    made = StrictOrg()
    yield made
    made.server.close()


def deals(org: StrictOrg, count: int, apart: timedelta = MINUTE) -> set[str]:
    """So many opportunities, one after the other; their ids."""
    return {
        org.put("Opportunity", n, NOW - DAY + n * apart, Name=f"D{n}", AccountId="0015g0000000001AAA", StageName="Won", Amount=10.5 * n,
                CloseDate="2026-06-30", IsClosed=True, IsWon=True, Probability=100.0)
        for n in range(1, count + 1)
    }  # fmt: skip


def read(org: StrictOrg, stream: str, cursor: Cursor | None = None, **options: Any) -> tuple[Store, Cursor | None]:
    """A pull to its end."""
    store = Store()
    with closing(make_source(org.connection(**{"currency": "EUR", **options}), LANDSCAPE)) as source:
        done = pull(source, stream, cursor, store, now=NOW)
    return store, done.cursor


@pytest.mark.parametrize("batches", [(1,), (3, 1, 0, 2), (0, 0, 5), (2000,)], ids=str)
def test_batches_are_as_large_as_the_org_likes(org: StrictOrg, batches: tuple[int, ...]) -> None:
    """`batchSize` is a wish: smaller, uneven and empty pages bring every record once."""
    org.batches = batches
    truth = deals(org, 9)
    store, _ = read(org, "opportunities")
    assert set(store.live("opportunity")) == truth
    assert store.changes == 9


@pytest.mark.parametrize("apart", [MINUTE, timedelta(0)], ids=["stamps apart", "one stamp"])
def test_sessions_may_end_as_often_as_they_like(org: StrictOrg, apart: timedelta) -> None:
    """Each session dies after its first page or the next: the query is asked anew from where it had come to, and reaches its end."""
    org.batches, org.calls_of_a_session = (2,), 3
    truth = deals(org, 30, apart)
    store, _ = read(org, "opportunities")
    assert set(store.live("opportunity")) == truth
    assert org.sessions > 5


def test_sessions_that_bring_nothing_end_the_pull(org: StrictOrg) -> None:
    """A query that comes no further is not asked for ever."""
    org.batches = (0,)
    deals(org, 3)

    def between(asked: Asked, answer: Any) -> Reply:
        if "/query/" in asked.path:
            return reply_json([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}], 401)
        return answer()  # type: ignore[no-any-return]

    org.server.between = between
    with pytest.raises(AuthError, match="came any further"):
        read(org, "opportunities")
    assert len(org.server.asked) < 20


def test_an_org_that_nobody_has_added_anything_to_is_read(org: StrictOrg) -> None:
    """Standard fields only, no quotes, one currency: contracts have no value there, and nothing stops."""
    account = org.put("Account", 1, NOW - DAY, Name="Acme", BillingCountry="DE")
    org.put(
        "Contract",
        1,
        NOW - DAY,
        AccountId=account,
        ContractNumber="00000100",
        Status="Aktiviert",
        StatusCode="Activated",
        StartDate="2026-01-01",
    )
    deals(org, 2)
    org.records["Organization"] = [{"Id": "00D5g0000000001EAA", "Name": "Acme", "IsSandbox": True, "DefaultCurrencyIsoCode": "CHF"}]
    assert set(read(org, "accounts")[0].live("customer")) == {account}
    (contract,) = read(org, "contracts")[0].live("contract").values()
    assert (contract["value"], contract["status"], contract["number"]) == (None, "activated", "00000100")
    opportunities, _ = read(org, "opportunities", currency=None)
    assert {row["currency"] for row in opportunities.live("opportunity").values()} == {"CHF"}
    assert opportunities.rejects == []
    assert read(org, "quotes")[0].rows == {}


@pytest.mark.parametrize("where", ["describe", "query"])
def test_an_object_that_is_no_type_is_absent(org: StrictOrg, where: str) -> None:
    """INVALID_TYPE, by whichever question: quotes are optional, accounts are not."""
    no_type = reply_json([{"message": "\nFROM Quote\n     ^\nsObject type 'Quote' is not supported.", "errorCode": "INVALID_TYPE"}], 400)
    if where == "query":
        org.fields["Quote"] = STANDARD["Opportunity"] | {"OpportunityId": "reference"}
        org.said["GET", "/queryAll"] = no_type
    else:
        org.said["GET", "/describe"] = no_type
    assert read(org, "quotes")[0].rows == {}
    with pytest.raises(PermanentError):
        read(org, "accounts")
    with closing(make_source(org.connection(currency="EUR"), LANDSCAPE)) as source:
        findings = {finding.what: finding for finding in source.probe(now=NOW)}
    told = findings["Quote fields" if where == "describe" else "quotes first page"]
    assert told.ok
    assert "stays quiet" in told.words
    assert not findings["Account fields" if where == "describe" else "accounts first page"].ok


@pytest.mark.parametrize(("status", "code"), [(401, "INVALID_SESSION_ID"), (400, "InvalidSessionId"), (403, "INVALID_SESSION_ID")])
def test_an_expired_session_is_renewed_whatever_the_status(org: StrictOrg, status: int, code: str) -> None:
    """The older services say it with 400."""
    refusals = [reply_json([{"message": "Session expired or invalid", "errorCode": code}], status)]
    org.server.between = lambda asked, answer: refusals.pop() if refusals and asked.path.endswith("/queryAll") else answer()
    truth = deals(org, 2)
    assert set(read(org, "opportunities")[0].live("opportunity")) == truth
    assert org.sessions == 2


@pytest.mark.parametrize("body", [b"", b"<html>slow down</html>", b'{"error":"too_many","error_description":"slow down"}'])
def test_a_login_that_asks_to_wait_is_obeyed(org: StrictOrg, body: bytes) -> None:
    """429 with Retry-After at the login: no call leaves before its time."""
    org.said["POST", "/oauth2/token"] = Reply(body, 429, headers={"Retry-After": "120"})
    for _ in range(2):
        with pytest.raises(QuotaError) as wait:
            read(org, "accounts")
        assert wait.value.retry_at is not None
        assert wait.value.retry_at > datetime.now(UTC)
    assert len(org.server.asked) == 1


def test_a_write_and_what_is_read_for_it_draw_on_the_reserve(org: StrictOrg) -> None:
    """The org's count leaves the reserve only: the background stops, the write-back goes through."""
    held = {"Id": "001A", "Collections_Version__c": None}
    path = "/sobjects/Account/ERP_Customer_Number__c/4711"
    org.said["GET", path] = reply_json(held, Sforce_Limit_Info="api-usage=4990/5000; api-bursts=1/750")
    org.said["PATCH", path] = Reply(b"", 204)
    told = {"customer_number": "4711", "status": "reminder", "overdue_amount": "1.00", "currency": "EUR", "as_of": "2026-05-20T12:00:00Z"}
    orders = [Order(f"c:{version}", "update_collections", "4711", {**told, "version": version}) for version in (1, 2)]
    with closing(make_target(org.connection(), LANDSCAPE)) as target:
        assert [target.apply(each).outcome for each in orders] == ["applied", "applied"]
        with pytest.raises(QuotaError, match="4990 of the daily 5000"):
            read(org, "accounts")
        org.said["PATCH", path] = CREATED
        with pytest.raises(PermanentError, match="created an account"):
            target.apply(orders[0])


@pytest.mark.parametrize("batches", [(1,), (2, 0, 3), (2000,)], ids=str)
def test_accounts_are_found_by_number_on_however_many_pages(org: StrictOrg, batches: tuple[int, ...]) -> None:
    """Seven write-backs at once: what the accounts hold comes in pages as small as the org likes."""
    fields = {"ERP_Customer_Number__c": "string", "Collections_Status__c": "string", "Collections_Overdue__c": "double",
              "Collections_As_Of__c": "datetime", "Collections_Version__c": "double"}  # fmt: skip
    org.batches, org.fields["Account"] = batches, STANDARD["Account"] | fields
    ids = [org.put("Account", n, NOW, Name="Acme", ERP_Customer_Number__c=f"C-{n}") for n in range(1, 8)]
    org.said["PATCH", "/composite/sobjects"] = reply_json([{"id": each, "success": True, "errors": [], "created": False} for each in ids])
    told = {"status": "reminder", "overdue_amount": "1.00", "currency": "EUR", "as_of": "2026-05-20T12:00:00Z", "version": 1}
    orders = [Order(f"c:{n}", "update_collections", f"C-{n}", {**told, "customer_number": f"C-{n}"}) for n in range(1, 8)]
    with closing(make_target(org.connection(), LANDSCAPE)) as target:
        assert [getattr(each, "outcome", each) for each in target.apply_many(orders)] == ["applied"] * 7
    (call,) = org.asked("/composite/sobjects")
    assert [record["Id"] for record in call.json()["records"]] == ids


def test_an_org_that_has_moved_says_where(org: StrictOrg) -> None:
    """A redirect is not followed, and the words name what the login names."""
    org.said["GET", "/describe"] = Reply(b"", 302, headers={"Location": "https://elsewhere.example/"})
    org.said["POST", "/oauth2/token"] = reply_json({"access_token": "00D!0", "instance_url": "https://acme.my.salesforce.com"})
    with pytest.raises(PermanentError, match=r"https://acme\.my\.salesforce\.com.*instance_urls"):
        read(org, "accounts")


def test_the_login_server_is_no_org(org: StrictOrg) -> None:
    """A JWT may be shown there, records are elsewhere; said before anything is called."""
    jwt = {"client_id": "env:SF_TEST_ID", "private_key": "env:SF_TEST_SECRET"}

    def of(**options: Any) -> Any:
        return settings_of(org.connection(username="u", **options).model_copy(update={"secrets": jwt}), LANDSCAPE)

    with pytest.raises(ConfigError, match="login_url"):
        of(base_url="https://login.salesforce.com")
    made = of(base_url="https://acme.my.salesforce.com", login_url="https://login.salesforce.com")
    assert made.token_url == "https://login.salesforce.com/services/oauth2/token"
    assert of(base_url="https://login.salesforce.com", instance_urls=["https://acme.my.salesforce.com"]).instance_urls


@pytest.mark.parametrize("status", [404, 409])
def test_jobs_that_are_never_to_be_read_give_way_to_pages(status: int) -> None:
    """A job gone or of another version is asked anew, but not for ever."""
    with BulkContracts() as case:
        case.org.status = status
        for n in range(1, 4):
            case.put(f"k{n}", n, case.now - DAY)
        store, cursor = Store(), None
        for _ in range(12):
            with closing(case.source()) as source:
                items = list(source.pull(case.stream, cursor, now=case.now))
                for item in items:
                    if isinstance(item, Page):
                        store.take(source.map(case.stream, item))
                    cursor = item.cursor or cursor
            if not any(isinstance(item, Pending) for item in items):
                break
        assert set(store.live("contract")) == {"k1", "k2", "k3"}
        assert len(case.org.jobs) == 3
        assert cursor is not None
        assert "lost" not in cursor


@pytest.mark.parametrize("cut", [1, 4, 30])
def test_a_job_s_page_that_was_cut_is_no_page(cut: int) -> None:
    """A body without a length that ends early, wherever, is an outage: no amount is shortened, none becomes nothing."""
    with BulkContracts() as case:
        for n in range(1, 4):
            case.put(f"k{n}", 250, case.now - DAY)

        def between(asked: Asked, answer: Any) -> Reply:
            reply: Reply = answer()
            if not asked.path.endswith("/results"):
                return reply
            head = "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nSforce-NumberOfRecords: 3\r\nSforce-Locator: null\r\nConnection: close\r\n\r\n"
            return Reply(raw=lambda write: write(head.encode() + reply.body[:-cut]))

        case.org.server.between = between
        case.options["bulk_page"] = 9
        with closing(case.source()) as source, pytest.raises(TransientError):
            list(pages_of(source, case.stream, None, now=case.now))
