"""How accounting items are followed: by year, by what changed, and by what is no longer open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.ports import Cursor
from sync.systems.sap_s4 import make_source
from sync.systems.sap_s4.ledger import _MEMORIES
from tests.contracts.odata_server import LANDSCAPE, Host, v2_day
from tests.contracts.suite import DAY, NOW
from tests.contracts.suite_store import Store, pull
from tests.contracts.test_sap_s4 import Items

HOUR = timedelta(hours=1)


class Books:
    """A host's open items and what we know of them after our pulls."""

    def __init__(self) -> None:
        _MEMORIES.clear()
        self.case = Items()
        self.store = Store()
        self.cursor: Cursor | None = None
        self.now = NOW
        for year, number in (("2024", "b1"), ("2025", "b2"), ("2026", "b3")):
            self.bill(number, year)

    @property
    def host(self) -> Host:
        return self.case.host

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.host.records["A_OperationalAcctgDocItemCube"]

    def bill(self, number: str, year: str) -> None:
        """An open bill of a year, last touched a month ago."""
        long_ago = NOW - 30 * DAY
        self.rows.append(
            {
                **self.case.record(number, 100, long_ago), "FiscalYear": year, "AccountingDocumentType": "RV", "BillingDocument": f"9{number}",
                "AmountInTransactionCurrency": "100.00", "DebitCreditCode": "S",
            }
        )  # fmt: skip

    def clear_silently(self, number: str) -> None:
        """The bill is cleared, and nothing but its clearing says so: no stamp that a pull would look at is of today."""
        row = next(one for one in self.rows if one["AccountingDocument"] == number)
        row.update(IsCleared=True, ClearingDate=v2_day(NOW - 20 * DAY), ClearingAccountingDocument="c1", ClearingDocFiscalYear="2026")

    def read(self, later: timedelta, **options: Any) -> list[str]:
        """A pull after some time; the conditions that it asked by."""
        self.now += later
        before = len(self.host.server.asked)
        source = make_source(self.host.connection(page_size=50, **options), LANDSCAPE)
        self.cursor = pull(source, "accounting_items", self.cursor, self.store, now=self.now).cursor
        source.close()
        return [asked.query["$filter"] for asked in self.host.server.asked[before:] if "$inlinecount" in asked.query]

    def settled(self) -> dict[str, Decimal]:
        """What was settled of each bill."""
        return {row["invoice_key"]: row["amount"] for row in self.store.live("payment_application").values()}


@pytest.fixture
def books(monkeypatch: pytest.MonkeyPatch) -> Iterator[Books]:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")
    found = Books()
    yield found
    found.case.close()


def test_a_full_read_goes_by_company_and_year(books: Books) -> None:
    """From the first year that there is, or that is configured, each asked for by itself."""
    asked = books.read(timedelta())
    assert [condition.rpartition("and ")[2].rstrip(")") for condition in asked] == [
        "FiscalYear lt '2024'", "FiscalYear eq '2024'", "FiscalYear eq '2025'", "FiscalYear ge '2026'",
    ]  # fmt: skip
    assert all("CompanyCode eq '1010'" in condition for condition in asked)
    books.cursor = None
    assert len(books.read(timedelta(), from_fiscal_year=2025)) == 2


def test_a_clearing_that_touches_no_stamp_is_found_by_the_snapshot(books: Books) -> None:
    """Not by what changed; by the next look at all open items: what is no longer among them is read by its key."""
    books.read(timedelta())
    books.clear_silently("b2")
    changes = books.read(HOUR)
    assert any("ClearingCreationDate ge" in condition for condition in changes)
    assert books.settled() == {}
    looked = books.read(6 * HOUR)
    assert any("IsCleared eq false" in condition for condition in looked)
    assert any("AccountingDocument eq 'b2'" in condition for condition in looked)
    assert books.settled() == {"9b2": Decimal(100)}
    assert not any("AccountingDocument eq 'b2'" in condition for condition in books.read(6 * HOUR)), "it is known by now"


def test_who_does_not_remember_what_was_open_reads_everything(books: Books) -> None:
    """Another process takes over: it can't tell what is gone, so it reads all, and finds it."""
    books.read(timedelta())
    books.clear_silently("b1")
    _MEMORIES.clear()
    assert any("FiscalYear eq '2024'" in condition for condition in books.read(7 * HOUR))
    assert books.settled() == {"9b1": Decimal(100)}


def test_an_open_item_that_is_there_no_more_is_gone(books: Books) -> None:
    """It is asked for by its key once, and is open no longer."""
    books.read(timedelta())
    books.rows[:] = [row for row in books.rows if row["AccountingDocument"] != "b1"]
    assert any("AccountingDocument eq 'b1'" in condition for condition in books.read(7 * HOUR))
    assert not any("AccountingDocument eq 'b1'" in condition for condition in books.read(7 * HOUR))
    assert books.settled() == {}
