"""The stand-in for Modern Treasury answers as its public description says, and its account's book balances."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from sandbox.modern_treasury import objects, spec
from sandbox.world import operating
from tests.contracts.suite_openapi import Description
from tests.unit.sandbox.conftest import Box

WHOLE = Path(__file__).parents[4] / "shared" / "contracts" / "specs" / "modern_treasury_openapi_v1.yaml"
DESCRIPTION = Description(spec.spec())
ACCOUNT = objects.ACCOUNT_ID
REPORTED_AT = 5
"""The hour of the next morning at which a closed day's balances are reported."""
NEW: dict[str, Any] = {
    "direction": "credit", "internal_account_id": ACCOUNT, "amount_lower_bound": 1000, "amount_upper_bound": 1000, "currency": "USD",
    "date_lower_bound": "2026-12-01", "date_upper_bound": "2026-12-01", "metadata": {"a": "b"},
}  # fmt: skip
LISTS = [
    "internal_accounts", f"internal_accounts/{ACCOUNT}/balance_reports", "transactions", "expected_payments", "payment_orders",
    "incoming_payment_details", "events",
]  # fmt: skip


class _Loader(yaml.SafeLoader):
    """YAML as JSON has it: a date is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.fixture
def api(box: Box) -> Iterator[httpx.Client]:
    """A session of the organisation whose every request and answer is held to the description."""
    known = box.running.system("modern-treasury")

    def hold(answer: httpx.Response) -> None:
        answer.read()
        if answer.status_code != 422 or answer.request.method != "GET":  # a list is not described to refuse its parameters
            body = answer.json() if answer.content else None
            DESCRIPTION.answer(answer.request.method, answer.request.url.path, answer.status_code, body)

    with httpx.Client(
        base_url=f"{known['base_url']}/api/",
        auth=(known["organization_id"], known["api_key"]),
        timeout=10,
        event_hooks={"response": [hold]},
    ) as client:
        yield client


@pytest.mark.skipif(not WHOLE.is_file(), reason="../shared/contracts/specs is not here: the extract can't be held to the whole description")
def test_the_extract_is_the_vendors_own() -> None:
    """What stands in openapi.json is, word for word, what the whole description says of the paths that are served."""
    with WHOLE.open(encoding="utf-8") as file:
        whole = yaml.load(file, _Loader)  # noqa: S506  (a SafeLoader, less one rule)
    assert spec.spec() == spec.extract(whole)


@pytest.mark.parametrize("path", LISTS)
def test_every_list_page_by_page(api: httpx.Client, path: str) -> None:
    """The cursor in the header leads through every object once, newest first, and is empty at the end; each object by its id is the same."""
    seen: list[dict[str, Any]] = []
    params = {"per_page": "40"}
    while True:
        answer = api.get(path, params=params)
        seen += answer.json()
        if not answer.headers["x-after-cursor"]:
            break
        params["after_cursor"] = answer.headers["x-after-cursor"]
    assert len({one["id"] for one in seen}) == len(seen)
    assert [one["created_at"] for one in seen] == sorted((one["created_at"] for one in seen), reverse=True)
    if path != "events":
        assert seen
    if "/" not in path and seen:
        assert api.get(f"{path}/{seen[-1]['id']}").json() == seen[-1]


def test_the_book_balances(box: Box, api: httpx.Client) -> None:
    """Every day closes where the next opens, and what was posted in between is the difference; the truth says the same."""
    if datetime.fromisoformat(box.control("GET", "truth")["world_at"]).hour < REPORTED_AT:
        box.control("POST", "advance", {"hours": REPORTED_AT})  # the truth knows a day at midnight, its report comes in the morning
    reports = list(api.get(f"internal_accounts/{ACCOUNT}/balance_reports", params={"per_page": "100"}).json())
    closed = {
        one["as_of_date"]: {b["balance_type"]: b["amount"] for b in one["balances"]}
        for one in reports
        if one["balance_report_type"] == "previous_day"
    }
    posted: dict[str, int] = {}
    for one in objects.transactions(box.running.world):
        if one["posted"]:
            posted[one["as_of_date"]] = posted.get(one["as_of_date"], 0) + one["amount"] * (1 if one["direction"] == "credit" else -1)
    days = sorted(closed)
    for before, day in itertools.pairwise(days):
        assert closed[day]["opening_ledger"] == closed[before]["closing_ledger"]
        assert closed[day]["closing_ledger"] - closed[day]["opening_ledger"] == posted.get(day, 0)
    told = {one["account"]: one for one in box.control("GET", "truth")["banks"]}[operating.ACCOUNT.code]
    assert told["closing"] == f"{closed[told['closed']]['closing_ledger'] / 100:.2f}"


def test_a_payment_is_expected_once_per_key_and_once_per_external_id(box: Box, api: httpx.Client) -> None:
    """The same idempotency key gives the same object; another key with the same external id is a conflict; the log knows one write."""
    before = len(box.control("GET", "log?system=modern-treasury")["writes"])
    body = {**NEW, "external_id": "once"}
    one, two = (api.post("expected_payments", json=body, headers={"Idempotency-Key": "k-1"}) for _ in range(2))
    assert (one.status_code, one.json()["id"]) == (201, two.json()["id"])
    clash = api.post("expected_payments", json=body, headers={"Idempotency-Key": "k-2"})
    assert (clash.status_code, clash.json()["errors"]["code"]) == (409, "conflict")
    assert len(box.control("GET", "log?system=modern-treasury")["writes"]) == before + 1
    assert [o["id"] for o in api.get("expected_payments", params={"metadata[a]": "b", "external_id": "once"}).json()] == [one.json()["id"]]
    changed = api.patch(f"expected_payments/{one.json()['id']}", json={"amount_upper_bound": 1200}).json()
    assert (changed["amount_upper_bound"], changed["amount_lower_bound"]) == (1200, 1000)
    assert api.delete(f"expected_payments/{one.json()['id']}").json()["status"] == "archived"


@pytest.mark.parametrize(
    ("change", "parameter"),
    [({"amount_lower_bound": "1000"}, "amount_lower_bound"), ({"amount_lower_bound": 10.5}, "amount_lower_bound"), ({"direction": None}, "direction"),
     ({"date_upper_bound": "2026-02-31"}, "date_upper_bound"), ({"currency": "EUR"}, "currency"), ({"internal_account_id": objects.VENDOR_ID}, "internal_account_id"),
     ({"metadata": {"a": 1}}, "metadata"), ({"made_up": 1}, "made_up")],
)  # fmt: skip
def test_a_wrong_payment_names_its_parameter(api: httpx.Client, change: dict[str, Any], parameter: str) -> None:
    """422 in the API's own words."""
    answer = api.post("expected_payments", json={**NEW, **change})
    assert (answer.status_code, answer.json()["errors"]["parameter"]) == (422, parameter)


def test_what_is_asked_wrongly_is_refused(box: Box, api: httpx.Client) -> None:
    """An unknown filter, a page too large, a cursor of nobody's, an unknown object, a wrong key."""
    for params, parameter in (({"nothing": "1"}, "nothing"), ({"per_page": "101"}, "per_page"), ({"after_cursor": "x"}, "after_cursor")):
        answer = api.get("transactions", params=params)
        assert (answer.status_code, answer.json()["errors"]["parameter"]) == (422, parameter)
    assert api.get(f"transactions/{objects.VENDOR_ID}").status_code == 404
    wrong = httpx.get(f"{box.running.system('modern-treasury')['base_url']}/api/ping", auth=("someone", "else"))
    assert (wrong.status_code, wrong.json()["errors"]["code"]) == (401, "invalid_key")
    DESCRIPTION.answer("GET", "/api/ping", 401, wrong.json())


def test_it_survives_a_restart(box: Box, api: httpx.Client) -> None:
    """What was told stands in the world that is saved; the derived life is the same from the same seed."""
    api.post("expected_payments", json={**NEW, "external_id": "kept"})
    assert any(one.fields.get("external_id") == "kept" for one in box.running.world.expected.values())
    first = operating.movements(box.running.world)
    operating._day.cache_clear()
    assert operating.movements(box.running.world) == first
    assert all(one.seen_at <= one.at or one.refused for one in first)
    assert first[0].day >= operating.first_day(box.running.world)
    assert first[-1].day <= box.running.world.now.date() + timedelta(days=7)


@pytest.mark.parametrize(
    "change",
    [{"amount": "12"}, {"currency": "EURO"}, {"direction": None, "posted": None}, {"made_up": 1}, {"id": None}, {"as_of_date": "2026"}],
)
def test_the_description_refuses_what_it_does_not_describe(box: Box, change: dict[str, Any]) -> None:
    """The check can fail: an answer with a wrong, a missing or an unknown member is none of theirs."""
    good = objects.transactions(box.running.world)[-1]
    DESCRIPTION.answer("GET", f"/api/transactions/{good['id']}", 200, good)
    with pytest.raises(jsonschema.ValidationError):
        DESCRIPTION.answer("GET", f"/api/transactions/{good['id']}", 200, {**good, **change})


@pytest.mark.parametrize(
    ("entity", "how", "member"),
    [("transactions", "bad_amount", "amount"), ("transactions", "unknown_account", "internal_account_id"), ("expected_payments", "bad_date", "date_upper_bound"),
     ("payment_orders", "bad_currency", "currency"), ("incoming_payment_details", "bad_date", "as_of_date"), ("internal_accounts", "bad_currency", "currency")],
)  # fmt: skip
def test_a_record_is_broken_and_mended(box: Box, entity: str, how: str, member: str) -> None:
    """The record is served broken in lists and alone, with a new stamp; mended, it is as before but for the stamp; the rest never changes."""
    known = box.running.system("modern-treasury")
    url, auth = f"{known['base_url']}/api/{entity}", (known["organization_id"], known["api_key"])
    before = {one["id"]: one for one in box.http.get(url, auth=auth, params={"per_page": 100}).json()}
    key = box.act("break_record", system="modern-treasury", entity=entity, how=how)["key"]
    broken = box.http.get(f"{url}/{key}", auth=auth).json()
    listed = {one["id"]: one for one in box.http.get(url, auth=auth, params={"per_page": 100}).json()}
    assert {name for name in broken if broken[name] != before[key][name]} >= {member}
    assert {one for one in listed if listed[one] != before[one]} == {key}
    assert listed[key] == broken
    assert box.act("fix_record", system="modern-treasury", entity=entity, key=key)["was"] == how
    mended = box.http.get(f"{url}/{key}", auth=auth).json()
    assert {**mended, "updated_at": before[key]["updated_at"]} == before[key]
    assert mended["updated_at"] >= before[key]["updated_at"]
