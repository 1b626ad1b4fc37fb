"""The declarations in examples/ do what docs/connections/rest.md says, on answers of the form that they were written for."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sync.connections import load
from sync.ports import Mapped, Page
from sync.systems.registry import role, system
from sync.systems.rest.mapping import ASKED_HEADER

EXAMPLES = Path(__file__).parents[2] / "examples"
ENVIRON = {
    "BILLING_URL": "https://billing.example.com", "TRACKER_URL": "https://tracker.example.com", "XERO_TENANT": "t-1", "QUICKBOOKS_REALM": "123",
}  # fmt: skip
SECRETS = (
    "BILLING_TOKEN", "TRACKER_CLIENT_ID", "TRACKER_CLIENT_SECRET", "XERO_CLIENT_ID", "XERO_CLIENT_SECRET", "QUICKBOOKS_CLIENT_ID",
    "QUICKBOOKS_CLIENT_SECRET", "HUBSPOT_TOKEN",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "x")
    refresh = tmp_path / "refresh"
    refresh.write_text("r1")
    monkeypatch.setitem(ENVIRON, "QUICKBOOKS_REFRESH_FILE", str(refresh))


def _mapped(example: str, stream: str, body: Any) -> Mapped:
    landscape = load(EXAMPLES / example, ENVIRON)
    [connection] = landscape.connections
    headers = {ASKED_HEADER: "2026-05-20T12:00:00+00:00"}
    with closing(system(connection).make_source(connection, landscape)) as source:
        return source.map(stream, Page(json.dumps(body).encode(), "application/json", None, stream, headers))


def test_subscription_invoices_with_their_card_payments() -> None:
    """Cents become dollars, seconds become days; a paid invoice is applied, an open one is not, a void one is cancelled."""
    paid = {
        "id": "in_1", "number": "A-1", "customer": "cus_3", "status": "paid", "created": 1777593600, "due_date": 1780185600, "total": 11900,
        "tax": 1900, "amount_paid": 11900, "payment": {"id": "pay_9", "settled_at": 1778198400}, "disputed": False, "currency": "USD",
        "updated": 1778198401,
    }  # fmt: skip
    unpaid = {**paid, "id": "in_2", "number": "A-2", "status": "open", "amount_paid": 0, "payment": None, "disputed": True}
    void = {**unpaid, "id": "in_3", "number": "A-3", "status": "void"}
    found = _mapped("rest-subscriptions.toml", "invoices", {"data": [paid, unpaid, void], "has_more": False})
    assert found.rejects.is_empty(), found.rejects.to_dicts()
    [one, two, three] = found.frames["invoice"].to_dicts()
    assert (one["number"], one["gross"], one["status"], one["issue_date"], one["legal_entity"]) == (
        "A-1",
        119,
        "cleared",
        date(2026, 5, 1),
        "US01",
    )
    assert (two["number"], two["status"], two["region"], two["is_disputed"], three["status"]) == ("A-2", "posted", "NA", True, "cancelled")
    assert one["source_version"] == 1778198401 * 1_000_000
    [live] = [row for row in found.frames["payment_application"].to_dicts() if not row["is_deleted"]]
    assert (live["invoice_key"], live["payment_key"], live["amount"], live["clearing_date"]) == ("in_1", "pay_9", 119, date(2026, 5, 8))


def test_subscription_customers() -> None:
    """An object within an object, a number of days; what is absent is nothing."""
    body = {
        "data": [
            {"id": "cus_3", "name": "Acme", "address": {"country": "CA"}, "invoice_settings": {"net_days": 30}},
            {"id": "cus_4"},
        ],
        "has_more": False,
    }
    found = _mapped("rest-subscriptions.toml", "customers", body)
    [one, two] = found.frames["customer"].to_dicts()
    assert (one["country"], one["payment_terms_days"], two["name"]) == ("CA", 30, None)


def test_disputes_with_local_times_and_amounts_in_words() -> None:
    """The list is the body; a field is found by its name among others; New York's time is UTC here."""
    case = {
        "id": 7, "subject": "Short delivery", "fields": [{"name": "x", "value": 1}, {"name": "customer_number", "value": "C1"}],
        "claim": {"value": "1.234,50", "currency": "USD"}, "status": {"name": "open", "final": False}, "changed": "2026-05-01T09:30:00",
    }  # fmt: skip
    [row] = _mapped("rest-disputes.toml", "cases", [case]).frames["opportunity"].to_dicts()
    assert (row["source_key"], row["customer_key"], row["amount"], row["is_closed"]) == ("7", "C1", Decimal("1234.5"), False)
    assert row["changed_at"] == datetime(2026, 5, 1, 13, 30, tzinfo=UTC)


def test_xero_invoices_and_the_payments_within() -> None:
    """Days as they are written, moments of older .NET; a payment belongs to its invoice, and all payments of an invoice are named."""
    invoice = {
        "InvoiceID": "i1", "InvoiceNumber": "INV-1", "Type": "ACCREC", "Contact": {"ContactID": "c1", "Name": "Acme"}, "Status": "PAID",
        "DateString": "2026-05-01T00:00:00", "Date": "/Date(1777593600000+0000)/", "DueDateString": "2026-05-31T00:00:00", "Total": 115.00,
        "TotalTax": 15.00, "AmountDue": 0.00, "CurrencyCode": "NZD", "UpdatedDateUTC": "/Date(1778198401123+0000)/",
        "Payments": [{"PaymentID": "p1", "Date": "/Date(1778198400000+0000)/", "Amount": 115.00, "HasAccount": False}],
    }  # fmt: skip
    body = {
        "pagination": {"page": 1, "pageSize": 500, "pageCount": 1, "itemCount": 2},
        "Invoices": [invoice, {"InvoiceID": "i2", "Status": "DELETED"}],
    }
    found = _mapped("rest-xero.toml", "invoices", body)
    [one] = found.frames["invoice"].to_dicts()
    assert (one["gross"], one["issue_date"], one["due_date"], one["status"]) == (115, date(2026, 5, 1), date(2026, 5, 31), "cleared")
    assert found.gone["source_key"].to_list() == ["i2"]
    paid = _mapped("rest-xero.toml", "payments", body)
    [row] = paid.frames["payment_application"].to_dicts()
    assert (row["source_key"], row["amount"], row["currency"], row["clearing_date"]) == ("i1/p1", 115, "NZD", date(2026, 5, 8))
    assert [(word.within, word.present) for word in paid.complete] == [(frozenset({"i1", "i2"}), frozenset({"i1/p1"}))]


def test_quickbooks_invoices() -> None:
    """Numbers to the cent, an invoice with a balance is open, one without is cleared; no list at all is an empty one."""
    open_one = {
        "Id": "130", "DocNumber": "1037", "CustomerRef": {"value": "24", "name": "Sonnenschein"}, "TxnDate": "2026-05-01", "DueDate": "2026-05-31",
        "TotalAmt": 362.07, "TxnTaxDetail": {"TotalTax": 26.82}, "Balance": 362.07, "CurrencyRef": {"value": "USD"},
        "MetaData": {"CreateTime": "2026-05-01T14:16:17-07:00", "LastUpdatedTime": "2026-05-01T14:16:17-07:00"},
    }  # fmt: skip
    body = {"QueryResponse": {"Invoice": [open_one, {**open_one, "Id": "131", "Balance": 0}], "startPosition": 1, "maxResults": 2}}
    [one, two] = _mapped("rest-quickbooks.toml", "invoices", body).frames["invoice"].to_dicts()
    assert (one["gross"], one["tax"], one["source_open"], one["status"]) == (
        Decimal("362.07"),
        Decimal("26.82"),
        Decimal("362.07"),
        "posted",
    )
    assert (two["status"], two["changed_at"]) == ("cleared", datetime(2026, 5, 1, 21, 16, 17, tzinfo=UTC))
    assert _mapped("rest-quickbooks.toml", "invoices", {"QueryResponse": {}, "time": "x"}).records == 0


def test_hubspot_deals_and_those_that_are_archived() -> None:
    """Amounts as text, flags as text; what is archived needs no more than its id."""
    deal = {
        "id": "9", "archived": False, "createdAt": "2026-05-01T10:00:00.000Z", "updatedAt": "2026-05-02T10:00:00.000Z",
        "properties": {
            "dealname": "Drives", "amount": "1500.50", "deal_currency_code": None, "dealstage": "closedwon", "closedate": "2026-05-20T07:00:00Z",
            "hs_is_closed": "true", "hs_is_closed_won": "false", "hs_lastmodifieddate": "2026-05-02T10:00:00.000Z",
        },
    }  # fmt: skip
    [row] = _mapped("rest-hubspot.toml", "deals", {"total": 1, "results": [deal]}).frames["opportunity"].to_dicts()
    assert (row["amount"], row["currency"], row["is_closed"], row["is_won"]) == (Decimal("1500.5"), "EUR", True, False)
    gone = _mapped("rest-hubspot.toml", "deals_archived", {"results": [{"id": "9"}]}).gone.to_dicts()
    assert [(one["entity"], one["source_key"]) for one in gone] == [("opportunity", "9")]
    assert gone[0]["source_version"] > row["source_version"], "it wins over what is held"


def test_the_examples_play_the_part_that_they_say() -> None:
    """Role by configuration."""
    names = ("subscriptions", "disputes", "xero", "quickbooks", "hubspot")
    parts = {name: role(load(EXAMPLES / f"rest-{name}.toml", ENVIRON).connections[0]) for name in names}
    assert parts == {"subscriptions": "erp", "disputes": "other", "xero": "erp", "quickbooks": "erp", "hubspot": "crm"}
