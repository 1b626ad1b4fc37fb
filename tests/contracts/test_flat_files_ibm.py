"""IBM's public receivables file, read as examples/ibm-ar.toml declares it, against figures computed by the csv module alone."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from sync.connections import load
from sync.ports import Mapped
from sync.systems.flat_files import make_source
from tests.contracts.suite import _assert_contract

ROOT = Path(__file__).parents[2]
FILE = ROOT.parent / "shared" / "data" / "ibm_accounts_receivable.csv"

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="../shared/data/ibm_accounts_receivable.csv is not here")


@pytest.fixture(scope="module")
def mapped() -> Mapped:
    landscape = load(ROOT / "examples" / "ibm-ar.toml", {})
    source = make_source(landscape.connection("ibm-ar"), landscape)
    return source.map(source.stream_of(FILE), source.page_of(FILE))


@pytest.fixture(scope="module")
def lines() -> list[dict[str, str]]:
    with FILE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_day(text: str) -> date:
    month, day, year = (int(part) for part in text.split("/"))
    return date(year, month, day)


def test_every_line_lands_and_none_is_rejected(mapped: Mapped, lines: list[dict[str, str]]) -> None:
    """2,466 records, no rejects; one invoice, payment and application each, one row per customer."""
    assert mapped.records == len(lines) == 2466
    assert mapped.rejects.is_empty()
    assert {entity: frame.height for entity, frame in mapped.frames.items()} == {
        "customer": len({line["customerID"] for line in lines}),
        "invoice": 2466,
        "payment": sum(1 for line in lines if line["SettledDate"]),
        "payment_application": sum(1 for line in lines if line["SettledDate"]),
    }


def test_totals_are_exact_in_all_and_by_country(mapped: Mapped, lines: list[dict[str, str]]) -> None:
    """Sums of the invoices equal sums of the file's text, to the cent."""
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        expected[line["countryCode"]] += Decimal(line["InvoiceAmount"])
    found = mapped.frames["invoice"].group_by("country").agg(pl.col("gross").sum()).rows()
    assert dict(found) == expected
    assert mapped.control_totals[-1].computed_amount == sum(expected.values())


def test_days_and_numbers_are_those_of_the_file(mapped: Mapped, lines: list[dict[str, str]]) -> None:
    """Issue, due and settlement days, numbers with their zeros, disputes and customers, line by line."""
    invoices = mapped.frames["invoice"].select("number", "issue_date", "due_date", "is_disputed", "customer_key").rows()
    assert invoices == [
        (line["invoiceNumber"], read_day(line["InvoiceDate"]), read_day(line["DueDate"]), line["Disputed"] == "Yes", line["customerID"])
        for line in lines
    ]
    settled = mapped.frames["payment_application"].select("invoice_key", "clearing_date").rows()
    assert settled == [(line["invoiceNumber"], read_day(line["SettledDate"])) for line in lines]
    for row, line in zip(mapped.frames["payment_application"].to_dicts(), lines, strict=True):
        assert (row["clearing_date"] - read_day(line["InvoiceDate"])).days == int(line["DaysToSettle"])


def test_history_is_known_by_business_days(mapped: Mapped, lines: list[dict[str, str]]) -> None:
    """What was open at the end of a past day follows from the rows' own times."""
    moment = datetime.fromisoformat("2012-12-31T23:59:59+00:00")
    known = mapped.frames["invoice"].filter(pl.col("changed_at") <= moment)
    applied = mapped.frames["payment_application"].filter(pl.col("changed_at") <= moment)
    found = known.join(applied, left_on="source_key", right_on="invoice_key", how="anti")
    day = moment.date()
    expected = [line for line in lines if read_day(line["InvoiceDate"]) <= day < read_day(line["SettledDate"])]
    assert found.height == len(expected) > 0
    assert found["gross"].sum() == sum((Decimal(line["InvoiceAmount"]) for line in expected), Decimal(0))


def test_every_row_keeps_its_contract(mapped: Mapped) -> None:
    """All rows of all entities pass their data contracts."""
    for entity, frame in mapped.frames.items():
        _assert_contract(entity, frame)
