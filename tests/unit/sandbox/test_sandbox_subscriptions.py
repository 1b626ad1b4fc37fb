"""The stand-in for a billing tool answers as its own description says, and its invoices live as told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import jsonschema
import pytest

from sandbox.subscriptions import objects, spec
from sandbox.world import subscriptions
from sandbox.world.founding import found
from tests.contracts.suite_openapi import Description
from tests.unit.sandbox.conftest import OPENED, Box

SYSTEM = "subscriptions"
DESCRIPTION = Description(spec.spec())


@pytest.fixture
def api(box: Box) -> Iterator[httpx.Client]:
    """A session with the key, whose every answer is held to the description."""
    known = box.running.system(SYSTEM)

    def hold(answer: httpx.Response) -> None:
        answer.read()
        DESCRIPTION.answer(answer.request.method, answer.request.url.path, answer.status_code, answer.json())

    with httpx.Client(
        base_url=f"{known['base_url']}/v1/", headers={"Authorization": f"Bearer {known['api_key']}"}, timeout=10,
        event_hooks={"response": [hold]},
    ) as client:  # fmt: skip
        yield client


def _all(api: httpx.Client, path: str, limit: str = "40", **params: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    asked = {"limit": limit, **params}
    while True:
        answer = api.get(path, params=asked).json()
        seen += answer["data"]
        if not answer["has_more"]:
            return seen
        asked["starting_after"] = answer["data"][-1]["id"]


@pytest.mark.parametrize("path", ["customers", "invoices"])
def test_every_list_page_by_page(api: httpx.Client, path: str) -> None:
    """The last record's id leads through every record once, newest first; each by its id is the same."""
    seen = _all(api, path, limit="7")
    assert len({one["id"] for one in seen}) == len(seen) > 7
    assert [one["created"] for one in seen] == sorted((one["created"] for one in seen), reverse=True)
    assert api.get(f"{path}/{seen[-1]['id']}").json() == seen[-1]
    assert len(api.get(path).json()["data"]) == 10


def test_a_list_may_be_asked_for_less(api: httpx.Client) -> None:
    """By what changed, by customer and by status, also from page to page."""
    seen = _all(api, "invoices")
    since = sorted(one["updated"] for one in seen)[-20]
    assert _all(api, "invoices", limit="3", **{"updated[gte]": str(since)}) == [one for one in seen if one["updated"] >= since]
    one = seen[0]
    mine = [each for each in seen if (each["customer"], each["status"]) == (one["customer"], one["status"])]
    assert _all(api, "invoices", limit="2", customer=one["customer"], status=one["status"]) == mine


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("invoices?limit=0", 400, "limit is 1 to 100"), ("invoices?limit=101", 400, "limit is 1 to 100"),
        ("invoices?limit=ten", 400, "Invalid integer"), ("invoices?updated[gte]=2026-11-01", 400, "Invalid integer"),
        ("customers?status=open", 400, "unknown parameter: status"), ("invoices?starting_after=in_0", 404, "No such invoice"),
        ("invoices/in_0", 404, "No such invoice"), ("customers/in_0", 404, "No such customer"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_what_is_wrong(api: httpx.Client, path: str, status: int, words: str) -> None:
    """The described error, its words and its status."""
    answer = api.get(path)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True)


def test_who_has_no_key_gets_nothing(box: Box) -> None:
    """401 without a key and with another; nothing can be written, and nothing else is there."""
    known = box.running.system(SYSTEM)
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": known["api_key"]}):
        answer = httpx.get(f"{known['base_url']}/v1/invoices", headers=headers)
        DESCRIPTION.answer("GET", "/v1/invoices", answer.status_code, answer.json())
        assert answer.status_code == 401
    key = {"Authorization": f"Bearer {known['api_key']}"}
    assert httpx.post(f"{known['base_url']}/v1/invoices", headers=key).status_code == 404
    assert httpx.get(f"{known['base_url']}/v2/invoices", headers=key).status_code == 404


def test_an_invoice_is_what_its_lines_are(box: Box) -> None:
    """Lines add up to the total; paid in full with a payment, open or void without; the truth says the same."""
    world = box.running.world
    shown = objects.invoices(world)
    for one in shown:
        assert sum(line["amount"] for line in one["lines"]) == one["total"] > 0
        assert (one["amount_paid"], one["payment"] is not None) == ((one["total"], True) if one["status"] == "paid" else (0, False))
        assert one["created"] <= one["updated"] <= world.now.timestamp()
    assert {one["status"] for one in shown} == {"open", "paid", "void"}
    (told,) = [row for row in box.control("GET", "truth")["invoices"] if row["system"] == SYSTEM]
    assert Decimal(told["open"]) == sum(Decimal(one["total"]).scaleb(-2) for one in shown if one["status"] == "open")
    assert (told["count"], Decimal(told["gross"])) == (len(shown), sum(Decimal(one["total"]).scaleb(-2) for one in shown))


def test_it_lives_with_the_calendar() -> None:
    """Forty days bring everybody an invoice and most of them money; what was told before stays, but for what has changed since."""
    world = found(7, OPENED, customers=6, history_days=5)
    before = {one["id"]: one for one in objects.invoices(world)}
    world.advance(OPENED + timedelta(days=40))
    after = {one["id"]: one for one in objects.invoices(world)}
    assert {one["customer"] for key, one in after.items() if key not in before} >= {one["customer"] for one in before.values()}
    assert before.keys() < after.keys()
    assert all(after[key] == one for key, one in before.items() if after[key]["updated"] <= OPENED.timestamp())
    changed = [(one["status"], after[key]["status"]) for key, one in before.items() if after[key] != one]
    assert ("open", "paid") in changed
    assert {now for was, now in changed if was != "open"} == set()


def test_the_same_seed_is_the_same_business(box: Box) -> None:
    """Everything follows from the seed and the day: asking twice gives the same, and a year ahead changes nothing of today."""
    world = box.running.world
    now = subscriptions.bills(world)
    subscriptions._bill.cache_clear()
    subscriptions._everyone.cache_clear()
    assert subscriptions.bills(world) == now
    assert all(bill.created_at <= world.now for bill in now)
    assert all(bill.changed_at(world.now + timedelta(days=365)) >= bill.changed_at(world.now) for bill in now)


@pytest.mark.parametrize("change", [{"total": "12"}, {"status": "draft"}, {"made_up": 1}, {"customer": None}, {"payment": {"id": "p"}}])
def test_the_description_refuses_what_it_does_not_describe(box: Box, change: dict[str, Any]) -> None:
    """The check can fail: an answer with a wrong or an unknown member is none of theirs."""
    good = objects.invoices(box.running.world)[-1]
    DESCRIPTION.answer("GET", f"/v1/invoices/{good['id']}", 200, good)
    with pytest.raises(jsonschema.ValidationError):
        DESCRIPTION.answer("GET", f"/v1/invoices/{good['id']}", 200, {**good, **change})
