"""Settlement out of accounting items: references, clearings without them, reversals, and what is no money."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from sync.ports import Mapped
from sync.systems.sap_s4.items import map_items
from sync.systems.sap_s4.settings import Settings

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
SETTINGS = Settings(base_url="https://s4", region="EMEA", zone="Europe/Berlin", entity_by_company_code={"1010": "DE01"})


def day(text: str) -> str:
    return f"/Date({int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)})/"


def item(number: str, amount: str, **changes: Any) -> dict[str, Any]:
    """An open bill's item, unless changed."""
    base = {
        "CompanyCode": "1010", "FiscalYear": "2026", "AccountingDocument": number, "AccountingDocumentItem": "001",
        "FinancialAccountType": "D", "Customer": "C1", "AmountInTransactionCurrency": amount, "TransactionCurrency": "EUR",
        "LastChangeDate": day("2026-05-04"), "PostingDate": day("2026-05-04"), "BillingDocument": "", "AccountingDocumentType": "RV",
        "ClearingDate": None, "ClearingCreationDate": None, "IsCleared": False, "InvoiceReference": "", "IsReversed": False,
        "IsReversal": False, "SpecialGLCode": "",
    }  # fmt: skip
    return {**base, **changes}


def bill(number: str, amount: str, **changes: Any) -> dict[str, Any]:
    return item(number, amount, BillingDocument=f"9{number}", **changes)


def payment(number: str, amount: str, **changes: Any) -> dict[str, Any]:
    return item(number, amount, AccountingDocumentType="DZ", DocumentReferenceID=f"P{number}", **changes)


def cleared(by: str) -> dict[str, Any]:
    return {
        "IsCleared": True, "ClearingDate": day("2026-05-06"), "ClearingCreationDate": day("2026-05-07"),
        "ClearingAccountingDocument": by, "ClearingDocFiscalYear": "2026",
    }  # fmt: skip


def mapped(*items: dict[str, Any], paid: dict[str, str] | None = None, whole: bool = False, at: datetime = NOW) -> Mapped:
    invoices = {"1010/2026/1": "91", "1010/2025/7": "97"}
    body = json.dumps({"items": items, "beside": {"invoices": invoices, "paid": paid or {}, "whole": whole}})
    return map_items(body.encode(), SETTINGS, at)


def applications(found: Mapped) -> list[tuple[str, str, Decimal, bool, bool]]:
    frame = found.frames["payment_application"].select("source_key", "invoice_key", "amount", "is_reversed", "is_deleted")
    return [(key.removeprefix("1010/2026/"), *rest) for key, *rest in frame.rows()]


def test_a_payment_that_names_its_invoice_is_its_application() -> None:
    """Amount, value date and payment of the application are the payment item's own; an earlier year is named too."""
    found = mapped(
        payment("5", "-60.00", InvoiceReference="1", InvoiceReferenceFiscalYear="2026", ValueDate=day("2026-05-02")),
        payment("6", "-10.00", InvoiceReference="7", InvoiceReferenceFiscalYear="2025"),
    )
    assert applications(found) == [("5/001", "91", Decimal(60), False, False), ("6/001", "97", Decimal(10), False, False)]
    assert found.frames["payment_application"]["clearing_date"].to_list() == [date(2026, 5, 2), date(2026, 5, 4)]
    assert found.frames["payment"].select("source_key", "amount", "reference", "status").rows() == [
        ("1010/2026/5", Decimal(60), "P5", "settled"),
        ("1010/2026/6", Decimal(10), "P6", "settled"),
    ]


def test_a_payment_is_the_sum_of_its_items() -> None:
    """Several items of one document, one of them setting off a credit, are one payment."""
    found = mapped(payment("5", "-60.00", InvoiceReference="1"), payment("5", "5.00", AccountingDocumentItem="002", InvoiceReference="1"))
    assert found.frames["payment"]["amount"].to_list() == [Decimal(55)]
    assert [amount for _, _, amount, _, _ in applications(found)] == [Decimal(60), Decimal(-5)]


def test_a_clearing_without_reference_settles_the_bill_in_full() -> None:
    """What no payment explains was settled by the clearing. Its version is the open bill's: it may be taken back without a stamp, and of
    one version what was received later counts.
    """
    before, after = mapped(bill("1", "100.00")), mapped(bill("1", "100.00", **cleared("5")))
    assert applications(before) == [("1/001", "91", Decimal(100), False, True)], "an application of before is taken back"
    assert applications(after) == [("1/001", "91", Decimal(100), False, False)]
    row = after.frames["payment_application"].to_dicts()[0]
    assert (row["payment_key"], row["clearing_date"]) == ("1010/2026/5", date(2026, 5, 6))
    assert row["source_version"] == before.frames["payment_application"]["source_version"].item()


def test_a_clearing_adds_only_what_payments_leave() -> None:
    """Payments that name the bill come first; the clearing is the rest, or nothing."""
    part = mapped(bill("1", "100.00", **cleared("5")), paid={"1010/2026/1": "60.00"})
    assert applications(part) == [("1/001", "91", Decimal(40), False, False)]
    full = mapped(bill("1", "100.00", **cleared("5")), paid={"1010/2026/1": "100.00"})
    assert applications(full) == [("1/001", "91", Decimal(0), False, True)]
    assert applications(mapped(bill("1", "100.00"), bill("2", "5.00", **cleared("5")), whole=True)) == [
        ("2/001", "92", Decimal(5), False, False)
    ], "a first read takes nothing back"


def test_a_cancelled_pair_settles_itself() -> None:
    """Bill and cancellation clear each other: nothing stays open on either side."""
    found = mapped(bill("1", "100.00", **cleared("2")), bill("2", "-100.00", **cleared("2")))
    assert [amount for _, _, amount, _, _ in applications(found)] == [Decimal(100), Decimal(-100)]
    assert found.frames["payment"].is_empty()


def test_a_reversed_payment_is_returned() -> None:
    """Payment and application stay, marked; the reversal's own item is neither."""
    found = mapped(
        payment("5", "-60.00", InvoiceReference="1", IsReversed=True),
        payment("6", "60.00", InvoiceReference="1", IsReversal=True),
    )
    assert applications(found) == [("5/001", "91", Decimal(60), True, False)]
    assert found.frames["payment"]["status"].to_list() == ["returned"]
    assert found.frames["gl_posting"]["status"].to_list() == ["reversed", "open"]


@pytest.mark.parametrize("changes", [{"SpecialGLCode": "F"}, {"AccountingDocumentType": "DG"}, {"AmountInTransactionCurrency": "60.00"}])
def test_what_is_no_money_received_is_no_payment(changes: dict[str, Any]) -> None:
    """Down payment requests, credit memos of accounting and outgoing money are ledger lines only."""
    found = mapped({**payment("5", "-60.00"), **changes})
    assert found.frames["payment"].is_empty()
    assert found.frames["gl_posting"].height == 1


def test_an_unsigned_amount_takes_its_sign_from_its_side() -> None:
    """A host that gives amounts without sign says debit or credit beside them."""
    found = mapped(payment("5", "60.00", DebitCreditCode="H", InvoiceReference="1"), bill("1", "100.00", DebitCreditCode="S"))
    assert found.frames["gl_posting"]["amount"].to_list() == [Decimal(-60), Decimal(100)]


def test_a_day_ends_in_its_zone_but_never_after_the_pull() -> None:
    """Stamps that are days count as their last second in Berlin, today's as the moment of the pull."""
    found = mapped(payment("5", "-1.00"), payment("6", "-1.00", LastChangeDate=day("2026-05-20")))
    assert found.frames["payment"]["changed_at"].to_list() == [datetime(2026, 5, 4, 21, 59, 59, tzinfo=UTC), NOW]
    assert found.frames["payment"]["legal_entity"].to_list() == ["DE01", "DE01"]


def test_a_broken_item_is_one_reject() -> None:
    """An unreadable day or amount costs its item alone, with what it was worth."""
    found = mapped(payment("5", "-1.00", ValueDate="/Date(x)/"), payment("6", "1,00"), payment("7", "-7.00"))
    assert found.rejects.select("ordinal", "cause", "field").rows() == [
        (0, "bad_date", "ValueDate"),
        (1, "bad_amount", "AmountInTransactionCurrency"),
    ]
    assert found.rejects["amount"].to_list() == [Decimal(-1), None]
    assert found.frames["gl_posting"]["ordinal"].to_list() == [2]
    assert found.frames["payment"].schema["amount"] == pl.Decimal(19, 4)
