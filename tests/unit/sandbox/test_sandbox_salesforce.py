"""The org on the wire: sessions, SOQL, locators, writes that never create."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sandbox.salesforce.soql import MalformedQuery, parse
from sandbox.world.engine import salesforce_id
from tests.unit.sandbox.conftest import Box

SINCE = "SELECT Id, SystemModstamp FROM Opportunity WHERE SystemModstamp >= 2026-01-01T00:00:00Z ORDER BY SystemModstamp, Id"


def test_pages_hold_every_record_once(box: Box) -> None:
    """Following relative locators gives every record once, in order."""
    box.act("bulk", entity="opportunity", n=450)
    org = box.salesforce()
    answer = org.query(SINCE, headers={"Sforce-Query-Options": "batchSize=200"}).json()
    assert len(answer["records"]) == 200
    seen = list(answer["records"])
    while not answer["done"]:
        assert answer["nextRecordsUrl"].startswith("/services/data/v67.0/queryAll/")
        answer = org.call("GET", answer["nextRecordsUrl"]).json()
        seen += answer["records"]
    assert "nextRecordsUrl" not in answer
    keys = [(r["SystemModstamp"], r["Id"]) for r in seen]
    assert keys == sorted(set(keys))
    assert len(keys) == answer["totalSize"] == len(box.running.world.opportunities)


def test_a_locator_belongs_to_its_session(box: Box) -> None:
    """After a new login an old locator is refused for good."""
    box.fault("salesforce", "page_size", size=5)
    following = box.salesforce().query(SINCE).json()["nextRecordsUrl"]
    answer = box.salesforce().call("GET", following)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")


def test_a_token_can_expire_in_the_middle_of_a_list(box: Box) -> None:
    """The second page answers 401 once, and every token handed out before is void."""
    box.fault("salesforce", "page_size", size=5)
    box.fault("salesforce", "expired_token", times=1)
    org = box.salesforce()
    first = org.query(SINCE)
    assert first.status_code == 200
    assert org.call("GET", first.json()["nextRecordsUrl"]).status_code == 401
    assert org.query(SINCE).status_code == 401
    assert box.salesforce().query(SINCE).status_code == 200


def test_wrong_credentials_are_an_object(box: Box) -> None:
    """Token errors are objects with 400, REST errors are arrays."""
    base = box.running.system("salesforce")["base_url"]
    form = {"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "x"}
    answer = box.http.post(base + "/services/oauth2/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_id")
    assert box.http.get(base + "/services/data/v67.0/query?q=x").json()[0]["errorCode"] == "INVALID_SESSION_ID"


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Naem FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Asset", "INVALID_TYPE"),
    ],
)
def test_wrong_queries_have_their_code(box: Box, soql: str, code: str) -> None:
    """A query error is 400 with the code of its kind."""
    answer = box.salesforce().query(soql)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_soql_understands_precedence_lists_and_escapes() -> None:
    """AND binds closer than OR; IN, NOT and escaped quotes work; nonsense is refused."""
    where = parse(r"SELECT Id FROM A WHERE X = 1 OR Y IN ('a','b\'c') AND NOT Z < 2026-01-01T00:00:00+0000").where
    row = {"X": Decimal(2), "Y": "B'C", "Z": parse("SELECT Id FROM A WHERE Z = null") and None}
    assert where(lambda name: row[name])
    assert not where(lambda name: {**row, "Y": "q"}[name])
    with pytest.raises(MalformedQuery):
        parse("SELECT Id FROM A WHERE X ~ 1")


def test_an_update_only_write_never_creates(box: Box) -> None:
    """A known external id is written and logged; an unknown one is 404 and makes no account."""
    org, world = box.salesforce(), box.running.world
    before = len(world.accounts)
    body = {"Collections_Status__c": "Overdue", "Collections_Overdue__c": 1234.56}
    path = "sobjects/Account/ERP_Customer_Number__c/{}?updateOnly=true"
    missing = org.call("PATCH", path.format("99999999"), json=body)
    done = org.call("PATCH", path.format("10100001"), json=body, headers={"X-Request-ID": "r-77"})
    assert (missing.status_code, missing.json()[0]["errorCode"]) == (404, "NOT_FOUND")
    assert (done.status_code, done.json()["created"]) == (200, False)
    assert len(world.accounts) == before
    last = box.control("GET", "log?system=salesforce")["writes"][-1]
    assert (last["key"], last["request_id"], last["after"]["collections_overdue"]) == ("10100001", "r-77", "1234.56")
    shown = org.query("SELECT Collections_Overdue__c FROM Account WHERE ERP_Customer_Number__c = '10100001'")
    assert '"Collections_Overdue__c":1234.56' in shown.text


def test_a_number_of_two_accounts_is_not_written(box: Box) -> None:
    """An external id that two accounts have is 300 with both addresses, for reads and writes, until one is unlinked."""
    box.act("link_account", customer="10100002", number="10100001")
    org, path = box.salesforce(), "sobjects/Account/ERP_Customer_Number__c/10100001?updateOnly=true"
    answers = [org.call("GET", path), org.call("PATCH", path, json={"Collections_Status__c": "Z"})]
    assert [(a.status_code, len(a.json())) for a in answers] == [(300, 2), (300, 2)]
    box.act("link_account", customer="10100002")
    assert org.call("PATCH", path, json={"Collections_Status__c": "Z"}).status_code == 200


def test_collections_have_a_result_for_each_record(box: Box) -> None:
    """A collection answers 200 with results in order; failures have a statusCode and no id."""
    org = box.salesforce()
    known = next(iter(box.running.world.accounts))
    records = [
        {"attributes": {"type": "Account"}, "Id": known, "Collections_Status__c": "Current"},
        {"attributes": {"type": "Account"}, "Id": "0015g000000000XAAA", "Collections_Status__c": "Current"},
        {"Id": known},
    ]
    answer = org.call("PATCH", "composite/sobjects", json={"allOrNone": False, "records": records})
    results = answer.json()
    assert answer.status_code == 200
    assert [r["success"] for r in results] == [True, False, False]
    assert results[1]["errors"][0]["statusCode"] == "INVALID_CROSS_REFERENCE_KEY"
    assert "id" not in results[1]


def test_a_locked_row_fails_and_can_be_tried_again(box: Box) -> None:
    """UNABLE_TO_LOCK_ROW once, then success."""
    org, path = box.salesforce(), "sobjects/Account/ERP_Customer_Number__c/10100001?updateOnly=true"
    box.fault("salesforce", "lock_row", times=1)
    first = org.call("PATCH", path, json={"Collections_Status__c": "A"})
    assert first.json()[0]["errorCode"] == "UNABLE_TO_LOCK_ROW"
    assert org.call("PATCH", path, json={"Collections_Status__c": "A"}).status_code == 200


def test_deleted_records_are_in_queryall_and_in_the_list_of_deletes(box: Box) -> None:
    """A deleted contract is left out of query, kept in queryAll, and listed as deleted."""
    org, world = box.salesforce(), box.running.world
    gone = next(iter(world.contracts.values()))
    gone.deleted = True
    count = "SELECT COUNT() FROM Contract"
    alive = org.call("GET", "query", params={"q": count}).json()["totalSize"]
    every = org.query(count).json()["totalSize"]
    window = {"start": "2020-01-01T00:00:00+00:00", "end": "2030-01-01T00:00:00+00:00"}
    listed = org.call("GET", "sobjects/Contract/deleted/", params=window).json()["deletedRecords"]
    assert every - alive == len(listed) == sum(c.deleted for c in world.contracts.values())
    assert gone.id in {r["id"] for r in listed}
    gone.deleted = False


def test_limits_and_describe(box: Box) -> None:
    """Answers carry the usage header; describe names the external id."""
    answer = box.salesforce().call("GET", "sobjects/Account/describe")
    assert answer.headers["Sforce-Limit-Info"].startswith("api-usage=")
    external = [f["name"] for f in answer.json()["fields"] if f["externalId"]]
    assert external == ["ERP_Customer_Number__c"]


def test_record_ids_fold_case_safely() -> None:
    """The last three characters of an id follow from the case of the first fifteen."""
    assert salesforce_id("001", 0)[15:] == "AAA"
    assert len({salesforce_id("001", n).casefold() for n in range(5000)}) == 5000
