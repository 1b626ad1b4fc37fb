"""The fault dial on the wire: every fault shows as the real thing would."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import httpx
import pytest

from tests.unit.sandbox.conftest import Box

BILLS = "API_BILLING_DOCUMENT_SRV/A_BillingDocument"


def bills(box: Box, query: str = "") -> list[dict[str, Any]]:
    """A first page of billing documents."""
    found: list[dict[str, Any]] = box.s4(BILLS + query).json()["d"]["results"]
    return found


def test_an_outage_closes_the_connection_or_answers_503(box: Box) -> None:
    """Closed without a word, 503 if so chosen, and well again afterwards; other hosts never notice."""
    box.fault("sap-emea", "outage", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        box.s4(BILLS)
    box.fault("sap-emea", "outage", how="503", times=1)
    assert box.s4(BILLS, "sap-na").status_code == 200
    assert box.s4(BILLS).status_code == 503
    assert box.s4(BILLS).status_code == 200


def test_rate_limits_say_when_to_come_back(box: Box) -> None:
    """429 with seconds or with a date."""
    treasury = box.kyriba()
    box.fault("kyriba", "rate_limit", times=1, retry_after=12)
    assert treasury.call("GET", "accounts").headers["Retry-After"] == "12"
    box.fault("kyriba", "rate_limit", times=1, retry_after=60, form="date", entity="accounts")
    answer = treasury.call("GET", "accounts")
    assert answer.status_code == 429
    until = email.utils.parsedate_to_datetime(answer.headers["Retry-After"]).timestamp()
    assert 55 < until - time.time() < 65


def test_server_errors_and_login_pages(box: Box) -> None:
    """A 500 with any body, and a 200 that is an HTML page."""
    box.fault("sap-emea", "server_error", times=1, body="<html>dump</html>")
    assert (box.s4(BILLS).status_code, box.s4(BILLS).status_code) == (500, 200)
    box.fault("sap-emea", "html_login", times=1)
    answer = box.s4(BILLS)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/html")


def test_a_short_body_with_and_without_its_length(box: Box) -> None:
    """With Content-Length the client notices; without it, the short body looks whole."""
    box.fault("sap-emea", "truncated", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        box.s4(BILLS)
    box.fault("sap-emea", "truncated", times=1, content_length=False)
    answer = box.s4(BILLS)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()


def test_a_dripped_body_outlasts_a_read_timeout(box: Box) -> None:
    """Every byte comes within the read timeout, the whole takes longer than it."""
    box.fault("sap-emea", "slow", times=1, chunk=100, pause=0.1)
    began = time.monotonic()
    assert box.s4(f"{BILLS}?$top=2&$select=BillingDocument", timeout=0.3).status_code == 200
    assert time.monotonic() - began > 0.3


def test_pages_can_repeat_double_and_turn_around(box: Box) -> None:
    """A next link to itself, a record twice, the reverse order."""
    box.fault("sap-emea", "page_size", size=5)
    box.fault("sap-emea", "repeated_page", times=1)
    body = box.s4(BILLS).json()["d"]
    again = box.s4(body["__next"]).json()["d"]
    assert again["results"][0] == body["results"][0]
    plain = bills(box)
    box.fault("sap-emea", "duplicate_records", times=1)
    assert bills(box) == [plain[0], *plain]
    box.fault("sap-emea", "out_of_order", times=1)
    assert bills(box) == plain[::-1]


def test_a_late_commit_appears_behind_the_cursor(box: Box) -> None:
    """What changes while it lasts is unseen, and comes with a stamp older than what was seen meanwhile."""
    fault = box.fault("sap-emea", "late_commit", entity="A_SalesOrder")
    made = box.act("activate_contract", customer="10100001", value="900")
    path = f"API_SALES_ORDER_SRV/A_SalesOrder('{made['order']}')"
    assert box.s4(path).status_code == 404
    box.control("POST", "advance", {"minutes": 5})
    box.control("DELETE", f"faults/{fault}")
    stamp = int(box.s4(path).json()["d"]["LastChangeDateTime"][6:19]) / 1000
    assert stamp < box.running.world.now.timestamp() - 299


@pytest.mark.parametrize(("change", "check"), [("add", "ZZ_Addition"), ("remove", None), ("retype", dict)])
def test_schemas_drift(box: Box, change: str, check: str | type | None) -> None:
    """A field is added, missing, or of another type."""
    box.fault("sap-emea", "schema_drift", times=1, change=change, field="TotalGrossAmount")
    first = bills(box, "?$top=1")[0]
    if isinstance(check, str):
        assert check in first
    elif check is None:
        assert "TotalGrossAmount" not in first
    else:
        assert isinstance(first["TotalGrossAmount"], check)


def test_an_unknown_customer(box: Box) -> None:
    """The first record of a page names a customer nobody knows."""
    box.fault("sap-emea", "unknown_customer", times=1, entity="A_BillingDocument")
    assert bills(box, "?$top=1")[0]["PayerParty"] == "99999999"
    assert bills(box, "?$top=1")[0]["PayerParty"] != "99999999"


def test_a_broken_record_is_broken_until_it_is_fixed(box: Box) -> None:
    """Breaking and fixing show on the wire with a new stamp each."""
    number = bills(box, "?$top=1")[0]["BillingDocument"]

    def read() -> dict[str, Any]:
        found: dict[str, Any] = box.s4(f"{BILLS}('{number}')").json()["d"]
        return found

    before = read()
    box.act("break_record", system="sap-emea", entity="A_BillingDocument", key=number, how="bad_currency")
    broken = read()
    box.act("fix_record", system="sap-emea", entity="A_BillingDocument", key=number)
    fixed = read()
    assert [r["TransactionCurrency"] for r in (before, broken, fixed)] == [
        "EUR" if before["CompanyCode"] == "1010" else "GBP",
        "XXQ",
        before["TransactionCurrency"],
    ]
    stamps = [r["LastChangeDateTime"] for r in (before, broken, fixed)]
    assert stamps == sorted(set(stamps))


def test_many_records_break_and_heal_at_once(box: Box) -> None:
    """break_many breaks the newest n, fix_all heals them."""
    made = box.act("break_many", n=6, system="sap-na", entity="A_BillingDocument", how="bad_amount")
    assert made["n"] == 6
    assert box.control("GET", "state")["counts"]["broken"] == 6
    assert box.act("fix_all")["fixed"] == 6


@pytest.mark.parametrize(
    "body",
    [
        {"system": "kyriba", "kind": "gremlins"},
        {"system": "nowhere", "kind": "outage"},
        {"system": "bank-emea", "kind": "outage"},
        {"kind": "outage"},
    ],
)
def test_wrong_faults_are_refused(box: Box, body: dict[str, Any]) -> None:
    """The control port says what is wrong."""
    answer = box.http.post(f"{box.running.control}/control/faults", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_wrong_acts_are_refused(box: Box) -> None:
    """Unknown acts, unknown customers and unknown paths are told so, and nothing happens."""
    url = box.running.control + "/control/"
    for body in ({"do": "dance"}, {"do": "new_contract", "customer": "1"}, {"do": "pay", "invoice": "x"}, {}):
        assert box.http.post(url + "act", json=body).status_code == 400
    assert box.http.get(url + "nothing").status_code == 404
