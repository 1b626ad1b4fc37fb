"""Many write-backs with one call: each has its own result, none creates an account, and what is not known is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from sync.errors import PermanentError, SourceError, TransientError, UnknownOutcome
from sync.ports import Batching, Order, Receipt
from sync.systems.salesforce import make_target
from sync.systems.salesforce.answers import RowLocked
from tests.contracts.suite_server import Asked, Reply, ScriptedServer, reply_json
from tests.contracts.test_salesforce import LANDSCAPE, Org


class Accounts:
    """Accounts by id; `refusals` id -> statusCodes still to be answered for it."""

    def __init__(self) -> None:
        self.accounts: dict[str, dict[str, Any]] = {}
        self.refusals: dict[str, list[str]] = {}
        self.answer_with: Reply | None = None
        self.updates: list[list[str]] = []
        self.server = ScriptedServer(self.answer)

    def put(self, number: str, version: float | None = None) -> str:
        """An account with this number; its id."""
        key = f"0015g0000000{len(self.accounts):03d}AAA"
        self.accounts[key] = {"Id": key, "ERP_Customer_Number__c": number, "Collections_Version__c": version}
        return key

    def answer(self, asked: Asked) -> Reply:
        """One answer."""
        if asked.path.endswith("/oauth2/token"):
            return reply_json({"access_token": "t", "instance_url": self.server.url})
        if asked.path.endswith("/describe"):
            return reply_json({"fields": [{"name": "Collections_Currency__c"}]})
        if asked.path.endswith("/query"):
            wanted = set(re.findall(r"'((?:[^'\\]|\\.)*)'", asked.query["q"]))
            rows = [row for row in self.accounts.values() if row["ERP_Customer_Number__c"].replace("'", "\\'") in wanted]
            return reply_json({"totalSize": len(rows), "done": True, "records": rows})
        assert (asked.method, asked.path) == ("PATCH", "/services/data/v67.0/composite/sobjects")
        if self.answer_with is not None:
            return self.answer_with
        sent = asked.json()
        assert sent["allOrNone"] is False
        assert len(sent["records"]) <= 200
        self.updates.append([record["Id"] for record in sent["records"]])
        return reply_json([self._one(record) for record in sent["records"]])

    def _one(self, record: dict[str, Any]) -> dict[str, Any]:
        assert record["attributes"] == {"type": "Account"}
        key = record["Id"]
        if self.refusals.get(key):
            return {
                "success": False,
                "errors": [{"statusCode": self.refusals[key].pop(0), "message": "said\nso", "fields": ["Name"]}],
                "created": False,
            }
        self.accounts[key] |= {name: value for name, value in record.items() if name != "attributes"}
        return {"id": key, "success": True, "errors": [], "created": False}


@pytest.fixture
def org(monkeypatch: pytest.MonkeyPatch) -> Iterator[Accounts]:
    monkeypatch.setenv("SF_TEST_ID", "id")
    monkeypatch.setenv("SF_TEST_SECRET", "s3cret")
    made = Accounts()
    yield made
    made.server.close()


def order(number: str, version: int = 5) -> Order:
    """A write-back for the customer with this number."""
    told = {
        "customer_number": number,
        "status": "reminder",
        "overdue_amount": "1234.50",
        "currency": "EUR",
        "as_of": "2026-05-20T12:00:00Z",
        "version": version,
    }
    return Order(f"collections:{number}:{version}", "update_collections", number, told)


def apply(org: Accounts, *orders: Order) -> list[Receipt | SourceError]:
    """What becomes of the orders."""
    connection = Org.connection(org).model_copy(update={"name": f"sf-{id(org)}"})  # type: ignore[arg-type]
    target = make_target(connection, LANDSCAPE)
    target._sleep = lambda _: None
    assert isinstance(target, Batching)
    try:
        return list(target.apply_many(orders))
    finally:
        target.close()


def test_two_hundred_accounts_take_two_questions_and_one_call(org: Accounts) -> None:
    """Each record is updated by its id, with its amount to the cent."""
    keys = [org.put(str(n)) for n in range(200)]
    outcomes = apply(org, *(order(str(n)) for n in range(200)))
    assert {outcome.outcome for outcome in outcomes if isinstance(outcome, Receipt)} == {"applied"}
    assert org.updates == [keys]
    assert sum(asked.path.endswith("/query") for asked in org.server.asked) == 2
    written = json.loads(org.server.asked[-1].body, parse_float=str)["records"][7]
    assert written["Collections_Overdue__c"] == "1234.50"
    assert written["Collections_Currency__c"] == "EUR"


def test_each_order_has_its_own_fate(org: Accounts) -> None:
    """Applied, already, newer there, nobody, two of them, refused, locked for good: told apart in one answer, in order."""
    org.put("new")
    org.put("same", 5.0)
    org.put("newer", 6.0)
    org.put("twice")
    org.put("twice")
    org.put("it's")
    refused, locked, briefly, rolled = org.put("refused"), org.put("locked"), org.put("briefly"), org.put("rolled")
    org.refusals = {
        refused: ["FIELD_CUSTOM_VALIDATION_EXCEPTION"],
        locked: ["UNABLE_TO_LOCK_ROW", "UNABLE_TO_LOCK_ROW"],
        briefly: ["UNABLE_TO_LOCK_ROW"],
        rolled: ["ALL_OR_NONE_OPERATION_ROLLED_BACK"],
    }
    numbers = ["new", "same", "newer", "nobody", "twice", "it's", "refused", "locked", "briefly", "rolled"]
    outcomes = apply(org, *(order(number) for number in numbers))
    told = [outcome.outcome if isinstance(outcome, Receipt) else type(outcome) for outcome in outcomes]
    assert told == [
        "applied",
        "already",
        "differs",
        PermanentError,
        PermanentError,
        "applied",
        PermanentError,
        RowLocked,
        "applied",
        TransientError,
    ]
    assert "FIELD_CUSTOM_VALIDATION_EXCEPTION: said so (Name)" in str(outcomes[6])
    assert org.updates[1] == [locked, briefly]
    assert len(org.accounts) == 10


@pytest.mark.parametrize(
    "reply",
    [Reply(b"", 500), Reply(b"[", 200), reply_json([]), reply_json({"id": "x"}), reply_json(["x", "y"]), Reply(raw=lambda _write: None)],
    ids=["500", "cut", "no results", "an object", "texts", "closed"],
)
def test_an_answer_that_does_not_say_leaves_it_unknown(org: Accounts, reply: Reply) -> None:
    """A write left and nobody knows: every order of the call is to be read in the org before it is tried again."""
    org.put("1")
    org.put("2")
    org.answer_with = reply
    with pytest.raises(UnknownOutcome):
        apply(org, order("1"), order("2"))


@pytest.mark.parametrize(
    "result", [{"success": False}, {"success": False, "errors": None}, {"success": "true"}, {"success": False, "errors": ["x"]}, {}]
)
def test_a_result_without_a_reason_is_a_refusal(org: Accounts, result: dict[str, Any]) -> None:
    """Whatever is not plainly a success is none."""
    org.put("1")
    org.answer_with = reply_json([result])
    (outcome,) = apply(org, order("1"))
    assert isinstance(outcome, PermanentError)


def test_a_created_account_is_an_alarm(org: Accounts) -> None:
    """An update that creates is not believed to be one."""
    org.put("1")
    org.answer_with = reply_json([{"id": "0015g0000000999AAA", "success": True, "errors": [], "created": True}])
    (outcome,) = apply(org, order("1"))
    assert isinstance(outcome, PermanentError)
    assert "created" in outcome.detail


def test_two_orders_for_one_account_don_t_meet_in_one_call(org: Accounts) -> None:
    """The same id twice in a call would be refused: the second one waits."""
    org.put("1")
    first, second = apply(org, order("1", 5), order("1", 6))
    assert isinstance(first, Receipt)
    assert isinstance(second, TransientError)
