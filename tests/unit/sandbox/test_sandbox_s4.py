"""An S/4 host on the wire: OData reads, server paging, guarded release of orders."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.unit.sandbox.conftest import Box

ORDERS, BILLS = "API_SALES_ORDER_SRV/A_SalesOrder", "API_BILLING_DOCUMENT_SRV/A_BillingDocument"
CUBE = "API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube"


def everything(box: Box, path: str, host: str = "sap-emea") -> list[dict[str, Any]]:
    """All records of a list, page by page."""
    rows: list[dict[str, Any]] = []
    url: str | None = path
    while url:
        body = box.s4(url, host).json()["d"]
        rows += body["results"]
        url = body.get("__next")
    return rows


@pytest.fixture
def clerk(box: Box) -> Iterator[httpx.Client]:
    """A client that keeps cookies, logged in to sap-emea."""
    known = box.running.system("sap-emea")
    headers = {"Accept": "application/json"}
    with httpx.Client(base_url=known["base_url"] + "/", auth=(known["user"], known["password"]), headers=headers) as one:
        yield one


def test_pages_hold_every_record_once(box: Box) -> None:
    """Absolute next links lead through every billing document once; the count is text."""
    box.fault("sap-emea", "page_size", size=7)
    rows = everything(box, BILLS + "?$inlinecount=allpages")
    mine = [i for i in box.running.world.invoices.values() if i.host == "sap-emea"]
    assert [r["BillingDocument"] for r in rows] == [i.number for i in mine]
    assert box.s4(BILLS + "?$inlinecount=allpages&$top=1").json()["d"]["__count"] == str(len(mine))


def test_filters_select_and_expand(box: Box) -> None:
    """A filter over dates and text, a selection and expanded items come back as asked."""
    filters = "CompanyCode eq '1010' and LastChangeDateTime ge datetimeoffset'2026-08-01T00:00:00Z'"
    body = box.s4(
        BILLS, params={"$filter": filters, "$select": "BillingDocument,TotalGrossAmount", "$expand": "to_Item", "$top": "3"}
    ).json()
    first = body["d"]["results"][0]
    assert set(first) == {"__metadata", "BillingDocument", "TotalGrossAmount", "to_Item"}
    assert first["__metadata"]["etag"].startswith("W/\"datetimeoffset'")
    item = first["to_Item"]["results"][0]
    assert Decimal(item["NetAmount"]) + Decimal(item["TaxAmount"]) == Decimal(first["TotalGrossAmount"])


@pytest.mark.parametrize(
    "query", ["$filter=Nothing eq 1", "$filter=SalesOrder eq", "$select=Nothing", "$top=x", "$filter=CreationDate gt 5"]
)
def test_wrong_options_are_400(box: Box, query: str) -> None:
    """An option that can't be understood is a 400 with SAP's error body."""
    answer = box.s4(f"{ORDERS}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]["lang"] == "en"


def test_quotes_are_doubled(box: Box) -> None:
    """A doubled quote in a text literal is one quote."""
    answer = box.s4(f"{ORDERS}?$filter=PurchaseOrderByCustomer eq 'O''Brien'")
    assert answer.json()["d"]["results"] == []


def test_errors_are_xml_unless_json_is_asked_for(box: Box) -> None:
    """Without Accept: application/json an error is XML; without a login it is 401."""
    known = box.running.system("sap-emea")
    url = f"{known['base_url']}/{ORDERS}('1')"
    assert box.http.get(url, auth=(known["user"], known["password"])).text.startswith("<?xml")
    assert box.http.get(url).status_code == 401


def test_the_release_of_an_order(box: Box, clerk: httpx.Client) -> None:
    """Token and cookies, then If-Match: 403, 428, 412, 204; the order is released once and says so."""
    made = box.act("activate_contract", customer="10100001", value="5000")
    path = f"{ORDERS}('{made['order']}')"
    release = {"DeliveryBlockReason": ""}
    assert clerk.patch(path, json=release).headers["x-csrf-token"] == "Required"
    read = clerk.get(path, headers={"X-CSRF-Token": "Fetch"})
    token, tag = {"X-CSRF-Token": read.headers["x-csrf-token"]}, {"If-Match": read.headers["etag"]}
    assert read.json()["d"]["PurchaseOrderByCustomer"] == made["contract"]
    assert (read.json()["d"]["DeliveryBlockReason"], read.json()["d"]["TotalCreditCheckStatus"]) == ("01", "B")
    assert clerk.patch(path, json=release, headers=token).status_code == 428
    assert clerk.patch(path, json=release, headers={**token, "If-Match": 'W/"old"'}).status_code == 412
    assert clerk.patch(path, json=release, headers={**token, **tag}).status_code == 204
    assert clerk.patch(path, json=release, headers={**token, **tag}).status_code == 412
    after = clerk.get(path).json()["d"]
    assert (after["DeliveryBlockReason"], after["TotalCreditCheckStatus"]) == ("", "D")
    writes = [w for w in box.control("GET", "log?system=sap-emea")["writes"] if w["key"] == made["order"]]
    assert [(w["action"], w["effective"], w["duplicate_of"]) for w in writes] == [("release", True, None)]


def test_a_second_release_is_seen_as_a_duplicate(box: Box, clerk: httpx.Client) -> None:
    """Releasing what is released is executed without effect, and the log points to the first time."""
    path = f"{ORDERS}('{box.act('activate_contract', customer='10100001', value='700')['order']}')"
    for _ in range(2):
        read = clerk.get(path, headers={"X-CSRF-Token": "Fetch"})
        headers = {"X-CSRF-Token": read.headers["x-csrf-token"], "If-Match": read.headers["etag"]}
        assert clerk.patch(path, json={"DeliveryBlockReason": ""}, headers=headers).status_code == 204
    first, second = box.control("GET", "log?system=sap-emea")["writes"][-2:]
    assert (second["effective"], second["duplicate_of"]) == (False, first["seq"])


def test_a_dropped_answer_was_executed(box: Box, clerk: httpx.Client) -> None:
    """The connection ends without an answer, yet the order is released."""
    path = f"{ORDERS}('{box.act('activate_contract', customer='10100001', value='800')['order']}')"
    read = clerk.get(path, headers={"X-CSRF-Token": "Fetch"})
    headers = {"X-CSRF-Token": read.headers["x-csrf-token"], "If-Match": read.headers["etag"]}
    box.fault("sap-emea", "drop_response_after_execute", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        clerk.patch(path, json={"DeliveryBlockReason": ""}, headers=headers)
    assert clerk.get(path).json()["d"]["DeliveryBlockReason"] == ""


def test_the_cube_tells_open_amounts(box: Box) -> None:
    """Invoice lines less unreversed payment lines that refer to them give exactly the truth's open amounts."""
    box.act("pay", amount="100")
    for host in ("sap-emea", "sap-na", "sap-apac"):
        lines = everything(box, CUBE, host)
        assert len({(r["CompanyCode"], r["FiscalYear"], r["AccountingDocument"], r["AccountingDocumentItem"]) for r in lines}) == len(lines)
        assert all((r["DebitCreditCode"] == "S") == (not r["AmountInTransactionCurrency"].startswith("-")) for r in lines)
        open_now: dict[tuple[str, str], Decimal] = {}
        for r in lines:
            key = (r["CompanyCode"], r["TransactionCurrency"])
            if r["AccountingDocumentType"] == "RV" or not (r["IsReversed"] or r["IsReversal"]):
                open_now[key] = open_now.get(key, Decimal(0)) + Decimal(r["AmountInTransactionCurrency"])
        expected: dict[tuple[str, str], Decimal] = {}
        for row in box.control("GET", "truth")["invoices"]:
            if row["system"] == host:
                key = (row["company_code"], row["currency"])
                expected[key] = expected.get(key, Decimal(0)) + Decimal(row["open"])
        assert open_now == expected


def test_a_returned_payment_opens_its_invoice_again(box: Box) -> None:
    """After a return the item is open, its clearing reversed, and a reversal document stands beside the payment."""
    paid = box.act("pay")
    box.act("return_payment", payment=paid["payment"])
    host = box.running.world.invoices[paid["invoice"]].host
    lines = [r for r in everything(box, CUBE, host) if r["AssignmentReference"] == paid["invoice"]]
    item = next(r for r in lines if r["AccountingDocumentType"] == "RV")
    assert (item["IsCleared"], item["ClearingIsReversed"], item["ClearingAccountingDocument"]) == (False, True, "")
    payment = next(r for r in lines if r["AccountingDocument"] == paid["document"])
    reversal = next(r for r in lines if r["IsReversal"])
    assert (payment["IsReversed"], payment["ReverseDocument"]) == (True, reversal["AccountingDocument"])
