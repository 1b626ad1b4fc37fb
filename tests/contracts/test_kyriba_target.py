"""Forecasts into a scripted treasury tenant: the vendor's uncertain answers, and never the same flow twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sync.errors import PermanentError, SourceError, UnknownOutcome
from sync.ports import Order, Receipt
from sync.systems.kyriba import make_target
from tests.contracts.kyriba_tenant import LANDSCAPE, Tenant, account
from tests.contracts.suite_server import Asked, Reply, reply_json

PAYLOAD = {"amount": "1234567.89", "currency": "EUR", "expected_date": "2027-01-15", "description": "Contract C-1", "company": "DE01"}


class Treasury(Tenant):
    """A tenant that keeps what is posted, and answers a POST in its own way."""

    def __init__(self, answer: Any = None) -> None:
        super().__init__()
        self.accounts = {"DE01-EUR": account("DE01-EUR"), "DE01-AAA": account("DE01-AAA") | {"currency": {"code": "USD"}}}
        self.posted: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.put = 0
        self.filters = True
        self.reply = answer or (lambda key: reply_json({"uuid": key}, 201))

    def answer(self, asked: Asked) -> Reply:
        """Cash flows by this tenant's own rules; the rest as every scripted tenant."""
        if not asked.path.endswith("/v1/cash-flows"):
            return super().answer(asked)
        if asked.method == "POST":
            self.raw.append(asked.body)
            self.posted.append({"uuid": f"f{len(self.posted) + 1}", **asked.json()})
            answer: Reply = self.reply(self.posted[-1]["uuid"])
            return answer
        self.put += asked.method == "PUT"
        wanted = asked.query.get("filter", "").removeprefix("reference==").strip("'")
        return self._listing([each for each in self.posted if not self.filters or each["reference"] == wanted], asked)


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYRIBA_TEST_ID", "id")
    monkeypatch.setenv("KYRIBA_TEST_SECRET", "s3cret")


@pytest.fixture
def treasury() -> Iterator[Treasury]:
    found = Treasury()
    yield found
    found.server.close()


def apply(treasury: Treasury, name: str = "one", options: dict[str, Any] | None = None, **payload: Any) -> Receipt:
    """One order, carried out by a target opened for it."""
    target = make_target(treasury.connection(**(options or {})), LANDSCAPE)
    try:
        return target.apply(Order(f"forecast:{name}", "publish_forecast", name, {**PAYLOAD, **payload}))
    finally:
        target.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda key: reply_json({"uuid": key}, 201),
        lambda key: reply_json([{"uuid": key}], 200),
        lambda key: reply_json({"results": [{"uuid": key, "status": 201}]}, 200),
        lambda key: Reply(b"", 201, headers={"Location": f"/api/v1/cash-flows/{key}"}),
        lambda key: Reply(b"", 204),
        lambda key: reply_json({"message": "created"}, 201),
    ],
    ids=["object", "list", "results", "location", "nothing", "words"],
)
def test_whatever_the_answer_the_flow_is_known_and_posted_once(treasury: Treasury, answer: Any) -> None:
    """Its key from the answer, from the place it names, or by its reference; applied again it is already there."""
    treasury.reply = answer
    made = apply(treasury)
    assert (made.outcome, made.reference) == ("applied", "f1")
    assert apply(treasury).outcome == "already"
    assert len(treasury.posted) == 1


def test_an_answer_of_another_kind_is_unknown_and_reading_tells(treasury: Treasury) -> None:
    """A web page after a write: it may or may not have been done, and the reference shows that it was."""
    treasury.reply = lambda _key: Reply(b"<html>", 200, "text/html")
    with pytest.raises(UnknownOutcome):
        apply(treasury)
    assert apply(treasury).outcome == "already"
    assert len(treasury.posted) == 1


def test_a_refusal_names_its_field(treasury: Treasury) -> None:
    """The tenant's words, with those of the details."""
    detail = {"code": "NotFound", "message": "unknown code", "target": "flowCode"}
    treasury.reply = lambda _key: reply_json(
        {"error": {"code": "Invalid", "message": "invalid values", "target": "", "details": [detail]}}, 400
    )
    with pytest.raises(PermanentError, match=r"NotFound: unknown code \(flowCode\)"):
        apply(treasury)


def test_a_tenant_that_does_not_filter_gets_nothing_posted(treasury: Treasury) -> None:
    """What is there can't be told: nothing is written, rather than the same flow twice."""
    apply(treasury, "other")
    treasury.filters = False
    with pytest.raises(PermanentError, match="does not filter by reference"):
        apply(treasury)
    assert len(treasury.posted) == 1


def test_nothing_is_ever_replaced(treasury: Treasury) -> None:
    """A PUT would reset what it leaves out: a flow that differs is reported, and stays as treasury has it."""
    apply(treasury)
    assert apply(treasury, amount="5").outcome == "differs"
    assert (treasury.put, len(treasury.posted)) == (0, 1)


def test_the_digits_of_an_amount_are_sent_as_they_are(treasury: Treasury) -> None:
    """Never through a float; under the name that the tenant wants, with a budget code where it needs one."""
    apply(treasury, amount="12345678901234.56")
    assert b'"value":12345678901234.56' in treasury.raw[0]
    apply(treasury, "two", {"forecast_amount": "amount", "forecast_budget_code": "+WIRE"}, amount="-0.10")
    assert b'"amount":-0.10' in treasury.raw[1]
    assert treasury.posted[1]["budgetCode"] == {"code": "+WIRE"}


@pytest.mark.parametrize("reference", ["TG-plain", "TG-a;status==ACTUAL", "TG-O'Neil \\ (1)", "TG-x,reference==y"])
def test_a_reference_stays_a_value(treasury: Treasury, reference: str) -> None:
    """Whatever stands in it, it is no part of the filter."""
    try:
        made = apply(treasury, reference=reference)
    except SourceError as error:
        pytest.fail(f"{error}")
    assert made.outcome == "applied"
    sent = [asked.query["filter"] for asked in treasury.server.asked if "filter" in asked.query]
    assert all(each == "reference==TG-plain" or each.startswith("reference=='TG-") for each in sent)
