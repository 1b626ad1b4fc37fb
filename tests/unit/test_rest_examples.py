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
ENVIRON = {"BILLING_URL": "https://billing.example.com", "TRACKER_URL": "https://tracker.example.com"}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BILLING_TOKEN", "TRACKER_CLIENT_ID", "TRACKER_CLIENT_SECRET"):
        monkeypatch.setenv(name, "x")


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


def test_the_examples_play_the_part_that_they_say() -> None:
    """Role by configuration."""
    parts = {name: role(load(EXAMPLES / name, ENVIRON).connections[0]) for name in ("rest-subscriptions.toml", "rest-disputes.toml")}
    assert parts == {"rest-subscriptions.toml": "erp", "rest-disputes.toml": "other"}
