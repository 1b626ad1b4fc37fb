"""The treasury tenant on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.sandbox.conftest import Box

FLOW: dict[str, Any] = {
    "reference": "TG-1", "account": {"code": "DE01-EUR"}, "flowCode": {"code": "CUSTOMER"},
    "flowAmount": {"value": 1234.56, "currency": {"code": "EUR"}}, "date": {"valueDate": "2026-12-01"},
}  # fmt: skip


def test_the_same_token_until_it_expires(box: Box) -> None:
    """A second login gives the same token; a wrong one is 401 invalid_token."""
    one, two = box.kyriba(), box.kyriba()
    assert one.token == two.token
    one.token = "wrong"
    assert one.call("GET", "accounts").json()["error"] == "invalid_token"


def test_flows_page_by_page(box: Box) -> None:
    """Offsets lead through every cash flow once, ordered by their stamp."""
    treasury, offset, seen = box.kyriba(), 0, []
    while True:
        body = treasury.call("GET", "cash-flows", params={"page.limit": 40, "page.offset": offset}).json()
        seen += body["results"]
        if "next" not in body["metadata"]["links"]:
            break
        offset += body["metadata"]["pageLimit"]
    assert len({f["uuid"] for f in seen}) == len(seen) == body["metadata"]["numberOfTotalResults"]
    kinds = {f["status"] for f in seen}
    assert (
        "ACTUAL" in kinds <= {"ESTIMATED", "CONFIRMED", "ACTUAL"}
    )  # what is expected depends on the hour to which other tests brought this world


def test_the_update_filter(box: Box) -> None:
    """updateDateTime=ge= gives what changed since, both ends counted to the second."""
    treasury = box.kyriba()
    found = treasury.call("GET", "cash-flows", params={"filter": "updateDateTime=ge=2026-11-01T00:00:00Z;status==ACTUAL"}).json()["results"]
    assert found
    assert all(f["date"]["updateDateTime"] >= "2026-11-01T00:00:00Z" and f["status"] == "ACTUAL" for f in found)
    assert treasury.call("GET", "cash-flows", params={"filter": "nothing==1"}).json()["error"]["code"] == "InvalidFilter"


def test_balances_come_in_windows_of_31_days(box: Box) -> None:
    """A longer window is 400; closed days carry the bank's closing balances as numbers."""
    treasury = box.kyriba()
    path = "cash-balances/accounts/DE01-EUR/balances"
    window = {"dateType": "VALUE", "actual": "true"}
    long = treasury.call("GET", path, params={"startDate": "2026-10-01", "endDate": "2026-11-15", **window})
    assert (long.status_code, long.json()["error"]["code"]) == (400, "InvalidPeriod")
    rows = treasury.call("GET", path, params={"startDate": "2026-11-01", "endDate": "2026-11-20", **window}).json()["cashBalance"]
    closed = {str(d): v for d, v in box.running.world.closings["DE01-EUR"].items()}
    assert [Decimal(str(r["amount"])) for r in rows] == [closed[r["date"]] for r in rows]
    assert len(rows) == 20


def test_posting_the_same_reference_twice_makes_two_flows(box: Box) -> None:
    """References are not unique here; the log tells the repetition."""
    treasury = box.kyriba()
    made = [treasury.call("POST", "cash-flows", json=FLOW).json()["uuid"] for _ in range(2)]
    found = treasury.call("GET", "cash-flows", params={"filter": "reference==TG-1"}).json()["results"]
    assert {f["uuid"] for f in found} == set(made)
    assert [f["flowAmount"]["value"] for f in found] == [1234.56, 1234.56]
    assert box.control("GET", "log?system=kyriba")["writes"][-1]["duplicate_of"] is not None


def test_a_put_replaces_as_a_whole(box: Box) -> None:
    """What a PUT leaves out is reset."""
    treasury = box.kyriba()
    made = treasury.call("POST", "cash-flows", json={**FLOW, "reference": "TG-2", "description": "first"}).json()["uuid"]
    changed = {**FLOW, "reference": "TG-2", "status": "CONFIRMED", "date": {"valueDate": "2026-12-09"}}
    assert treasury.call("PUT", f"cash-flows/{made}", json=changed).status_code == 200
    now = treasury.call("GET", f"cash-flows/{made}").json()
    assert (now["status"], now["description"], now["date"]["valueDate"]) == ("CONFIRMED", "", "2026-12-09")


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({"account": {"code": "NOWHERE"}}, "account"),
        ({"flowAmount": {"value": "12"}}, "flowAmount"),
        ({"flowAmount": {"value": 1, "currency": {"code": "USD"}}}, "flowAmount"),
        ({"date": {"valueDate": "2026-02-31"}}, "date"),
        ({"status": "ACTUAL"}, "status"),
    ],
)
def test_a_wrong_flow_names_its_field(box: Box, change: dict[str, Any], target: str) -> None:
    """A body that can't be a flow is 400 and says which field."""
    answer = box.kyriba().call("POST", "cash-flows", json={**FLOW, **change})
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, target)
