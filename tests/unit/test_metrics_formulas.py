"""Receivables measures against oracles that share no code with them, and against the real file's own arithmetic."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import mean
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics import book, latency
from metrics.catalog import CATALOG, DEFAULT_SLUGS
from metrics.invoices import DIMENSIONS, INVOICES, keyed
from metrics.receivables import BASICS, basic, basic_by

IBM = Path(__file__).parents[3] / "shared" / "data" / "ibm_accounts_receivable.csv"
ON = date(2026, 3, 2)


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    full = []
    for number, row in enumerate(rows):
        gross = Decimal(row.get("gross", "100"))
        owed = Decimal(0) if row.get("cleared_on") else Decimal(row.get("open_amount", gross))
        base = {"source": "erp", "source_key": str(number), "number": str(number), "customer_key": "C", "region": "EMEA", "currency": "EUR",
                "applied": gross - owed, "open_amount": owed, "gross_reporting": gross, "open_reporting": owed, "is_disputed": False,
                "is_credit": False, "raw_record_id": 0}  # fmt: skip
        full.append({**base, **row, "gross": gross, "open_amount": owed})
    return pl.DataFrame(full, schema=dict(INVOICES.columns))


def _oracle(values: list[int], share: float) -> float:
    """Linear interpolation between order statistics, as spreadsheets' PERCENTILE.INC has it."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=60))
def test_percentiles_match_an_independent_reading(days: list[int]) -> None:
    """p50, p90 and p95 interpolate linearly; the histogram that merges groups gives the same to the day's fraction."""
    frame = _frame([{"issue_date": ON - timedelta(days=300), "cleared_on": ON - timedelta(days=300 - n)} for n in days])
    counted = latency.merged([{str(n): 1} for n in days])
    for name, share in latency.QUANTILES.items():
        expected = _oracle(days, share)
        assert basic(frame, f"invoice_to_payment_{name}", ON)["value"][0] == pytest.approx(expected, abs=1e-8)
        assert latency.quantile_of(counted, share) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=40))
def test_survival_matches_the_product_written_out(invoices: list[tuple[int, bool]]) -> None:
    """Kaplan-Meier: multiplied over the days, the share of those still watched that were not paid on the day."""
    frame = _frame([{"issue_date": ON - timedelta(days=n), "cleared_on": ON if paid else None} for n, paid in invoices])
    curve = dict(latency.survival(frame, ON).select("day", "share_paid").iter_rows())
    left = 1.0
    for day in sorted({n for n, _ in invoices}):
        watched = sum(1 for n, _ in invoices if n >= day)
        left *= 1 - sum(1 for n, paid in invoices if n == day and paid) / watched
        assert curve[day] == pytest.approx(1 - left, abs=1e-7)


def test_aging_keeps_credits_apart_and_flags_disputes() -> None:
    """Every bucket is there, in order; a credit note never nets an age away."""
    rows = [
        {"issue_date": ON - timedelta(days=40), "due_date": ON, "gross": "10"},
        {"issue_date": ON - timedelta(days=40), "due_date": ON - timedelta(days=1), "gross": "20", "is_disputed": True},
        {"issue_date": ON - timedelta(days=99), "due_date": ON - timedelta(days=91), "gross": "30"},
        {"issue_date": ON - timedelta(days=9), "due_date": ON - timedelta(days=45), "gross": "-7", "is_credit": True},
        {"issue_date": ON - timedelta(days=99), "due_date": ON - timedelta(days=91), "gross": "50", "cleared_on": ON},
    ]
    found = book.aging(_frame(rows), ON)
    assert found["bucket"].to_list() == ["not due", "1-30", "31-60", "61-90", "90+", "credits"]
    assert found["amount"].to_list() == [Decimal(n) for n in (10, 20, 0, 0, 30, -7)]
    assert found["disputed"].to_list() == [Decimal(n) for n in (0, 20, 0, 0, 0, 0)]


def test_dso_by_its_formulas() -> None:
    """DSO, best possible DSO and their difference share one method; count-back takes off the latest months first."""
    rows = [
        {"issue_date": date(2026, 2, 10), "due_date": date(2026, 3, 12), "gross": "280"},
        {"issue_date": date(2026, 1, 10), "due_date": date(2026, 2, 10), "gross": "310"},
        {"issue_date": date(2025, 12, 20), "due_date": date(2026, 1, 20), "gross": "320", "cleared_on": date(2026, 2, 1)},
    ]
    frame, on = _frame(rows), date(2026, 2, 28)
    assert book.dso(frame, on).value == pytest.approx(590 * 91 / 910)
    assert book.dso(frame, on, not_yet_due=True).value == pytest.approx(280 * 91 / 910)
    assert book.average_days_delinquent(frame, on).value == pytest.approx(31)
    assert book.count_back(frame, on).value == pytest.approx(28 + 31)
    assert book.count_back(frame.filter(pl.col("issue_date") >= date(2026, 2, 1)), on).value == pytest.approx(28)
    assert "more than" in str(book.count_back(_frame([{**rows[0], "open_amount": "900"}]), on).missing)
    assert book.dso(frame.clear(), on).missing == "needs sales in the last 91 days"


def test_collection_effectiveness_and_concentration() -> None:
    """CEI relates what was collected to what could be; concentration counts debtors on balance, and an empty book has none."""
    sold = [{"issue_date": date(2026, 2, 10), "due_date": date(2026, 4, 1), "gross": "100"}]
    overdue = [{"issue_date": date(2025, 10, 1), "due_date": date(2025, 11, 1), "gross": "300", "customer_key": "D"}]
    start, end = _frame(overdue), _frame([*sold, *overdue])
    assert book.collection_effectiveness(start, end, date(2026, 3, 1)).value == pytest.approx(0)
    assert book.top_ten_share(end).value == 1
    assert book.herfindahl(end).value == pytest.approx(75**2 + 25**2)
    assert book.herfindahl(end.clear()).missing == "nothing is open"
    assert book.weighted_days_late(end, date(2025, 11, 11)).value == pytest.approx(10)


def test_the_catalogue_is_complete() -> None:
    """Every basic measure has its entry, every entry its words, unit and owner; an unknown slug names those there are."""
    assert tuple(BASICS) == DEFAULT_SLUGS
    assert all(one.words and one.owner and one.grain for one in CATALOG.values())


def _ibm() -> tuple[list[dict[str, str]], pl.DataFrame]:
    if not IBM.exists():
        pytest.skip("../shared/data/ibm_accounts_receivable.csv is not here: the real file's figures were not checked")
    with IBM.open(encoding="utf-8") as lines:
        records = list(csv.DictReader(lines))
    rows = [
        {"number": one["invoiceNumber"], "source_key": one["invoiceNumber"], "customer_key": one["customerID"], "country": one["countryCode"],
         "currency": "USD", "issue_date": _day(one["InvoiceDate"]), "due_date": _day(one["DueDate"]), "cleared_on": _day(one["SettledDate"]),
         "gross": one["InvoiceAmount"], "is_disputed": one["Disputed"] == "Yes"}
        for one in records
    ]  # fmt: skip
    return records, _frame(rows)


def _day(text: str) -> date:
    return datetime.strptime(text, "%m/%d/%Y").date()


def test_the_real_files_figures() -> None:
    """The 2,466 invoices of the public sample: figures equal the file's own columns DaysToSettle and DaysLate, added up here."""
    records, frame = _ibm()
    days, late = [int(one["DaysToSettle"]) for one in records], [int(one["DaysLate"]) for one in records if int(one["DaysLate"]) > 0]
    found = {slug: basic(frame, slug, date(2014, 1, 1)).row(0) for slug in BASICS}
    assert found["invoice_count"] == (2466, 2466)
    assert found["invoiced_total"][0] == sum(Decimal(one["InvoiceAmount"]) for one in records)
    for name, share in latency.QUANTILES.items():
        assert found[f"invoice_to_payment_{name}"][0] == pytest.approx(_oracle(days, share))
    assert found["late_share"][0] == pytest.approx(len(late) / len(days))
    assert found["mean_days_late"][0] == pytest.approx(mean(late))
    assert found["dispute_share"][0] == pytest.approx(sum(one["Disputed"] == "Yes" for one in records) / len(records))
    assert (found["open_count"][0], found["open_total"][0], found["overdue_total"][0]) == (0, 0, 0)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_groups_of_the_real_file_add_up(dimension: str) -> None:
    """By every dimension the groups' invoices and totals add up to the whole."""
    _, frame = _ibm()
    counts = basic_by(keyed(frame, dimension), "invoice_count", ON)
    totals = basic_by(keyed(frame, dimension), "invoiced_total", ON)
    assert counts["value"].sum() == 2466
    assert totals["value"].sum() == Decimal("147703.18")
    assert counts["key"].is_sorted()
