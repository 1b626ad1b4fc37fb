"""A customer's account in S/4HANA as it moves: cleared, opened again, gone; and hosts that heed less than they should. Over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.connections import Landscape, LegalEntity
from sync.errors import TransientError
from sync.http_gate import _GATES
from sync.ports import Cursor
from sync.systems.sap_s4 import make_source
from sync.systems.sap_s4.ledger import _MEMORIES
from tests.contracts.odata_server import LANDSCAPE
from tests.contracts.odata_world import World
from tests.contracts.suite import DAY, NOW
from tests.contracts.suite_server import Reply
from tests.contracts.suite_store import Store, pull

ITEMS = "A_OperationalAcctgDocItemCube"
TODAY = NOW.date()
LONG_AGO = TODAY - timedelta(days=40)
HOUR = timedelta(hours=1)
CLEARED: dict[str, Any] = {"IsCleared": True, "ClearingDate": TODAY - 10 * DAY, "ClearingCreationDate": TODAY - 10 * DAY,
                           "ClearingAccountingDocument": "c1", "ClearingDocFiscalYear": "2026"}  # fmt: skip
OPENED: dict[str, Any] = {"IsCleared": False, "ClearingDate": None, "ClearingCreationDate": None, "ClearingAccountingDocument": "",
                          "ClearingDocFiscalYear": "0000", "ClearingIsReversed": True}  # fmt: skip
BOTH = Landscape(legal_entities=(*LANDSCAPE.legal_entities,
                                 LegalEntity(code="GB01", name="Meridian Ltd", region="EMEA", currency="GBP", company_code="2020")))  # fmt: skip


class Account:
    """A host's customer account, and what is held of it after each pull."""

    def __init__(self, **form: Any) -> None:
        self.world = World(**form)
        self.store, self.now = Store(), NOW
        self.cursor: Cursor | None = None

    def bill(self, number: str, *, day: date = LONG_AGO, **values: Any) -> None:
        """An open bill of 100."""
        said = {"FinancialAccountType": "D", "Customer": "100", "BillingDocument": f"9{number}", "AccountingDocumentType": "RV", **values}
        self.put(number, Decimal(100), day, **said)

    def payment(self, number: str, amount: int, *, day: date = LONG_AGO, **values: Any) -> None:
        """A payment."""
        self.put(number, Decimal(-amount), day, FinancialAccountType="D", Customer="100", AccountingDocumentType="DZ", **values)

    def put(self, number: str, amount: Decimal, day: date, **values: Any) -> None:
        """An item of 1010 in 2026, last touched long ago, unless said otherwise."""
        said = {
            "CompanyCode": "1010",
            "FiscalYear": "2026",
            "AccountingDocumentItem": "001",
            "DebitCreditCode": "S" if amount > 0 else "H",
            **values,
        }
        self.world.put(
            ITEMS, AccountingDocument=number, AmountInTransactionCurrency=amount, TransactionCurrency="EUR", PostingDate=day, DocumentDate=day,
            AccountingDocumentCreationDate=day, LastChangeDate=day, **said,
        )  # fmt: skip

    def change(self, number: str, **values: Any) -> None:
        """The item of a document, changed without any other stamp than those that are named."""
        key = next(key for key in self.world.rows[ITEMS] if key[2] == number)
        self.world.rows[ITEMS][key] |= values

    def remove(self, number: str) -> None:
        """The document is there no more."""
        for key in [key for key in self.world.rows[ITEMS] if key[2] == number]:
            del self.world.rows[ITEMS][key]

    def read(self, later: timedelta = timedelta(), *, landscape: Landscape = LANDSCAPE, full: bool = False, **options: Any) -> None:
        """A pull after some time."""
        self.now += later
        source = make_source(self.world.connection(**options), landscape)
        self.cursor = pull(source, "accounting_items", None if full else self.cursor, self.store, now=self.now, pages_max=500).cursor
        source.close()

    def postings(self) -> dict[str, str]:
        """Document -> its status."""
        return {key.split("/")[2]: row["status"] for key, row in self.store.live("gl_posting").items()}

    def paid(self) -> dict[str, Decimal]:
        """Billing document -> what was applied to it."""
        rows = self.store.live("payment_application").values()
        return {one: sum(row["amount"] for row in rows if row["invoice_key"] == one) for one in {row["invoice_key"] for row in rows}}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("S4_TEST_USER", "TIDEGATE")
    monkeypatch.setenv("S4_TEST_PASSWORD", "s3cret")
    _GATES.clear()
    _MEMORIES.clear()
    yield
    _MEMORIES.clear()


@pytest.fixture
def account() -> Iterator[Account]:
    found = Account()
    yield found
    found.world.server.close()


@pytest.mark.parametrize("left", [{}, {"ClearingDate": TODAY - 10 * DAY}], ids=["nothing left", "its day left"])
@pytest.mark.parametrize("full", [False, True], ids=["by itself", "asked to begin anew"])
def test_a_clearing_that_was_reset_opens_the_item_again(account: Account, left: dict[str, Any], full: bool) -> None:
    """No stamp tells of it: the item is as it was before, older than what is held of it."""
    account.bill("b1")
    account.bill("b2")
    account.change("b1", **CLEARED)
    account.read()
    assert (account.postings(), account.paid()) == ({"b1": "cleared", "b2": "open"}, {"9b1": Decimal(100)})
    account.change("b1", **{**OPENED, **left})
    account.read(26 * HOUR, full=full)
    assert (account.postings(), account.paid()) == ({"b1": "open", "b2": "open"}, {})
    account.change("b1", **CLEARED)
    account.read(7 * HOUR)
    assert account.postings()["b1"] == "cleared"


def test_an_open_item_that_vanishes_is_open_no_longer(account: Account) -> None:
    """By the next look at open items: the posting, and a payment on account; a settled one was archived, and stays as it is."""
    account.bill("b1")
    account.bill("b2", **CLEARED)
    account.payment("p1", 30)
    account.payment("p2", 40, InvoiceReference="b1", InvoiceReferenceFiscalYear="2026")
    account.read()
    for number in ("b1", "b2", "p1", "p2"):
        account.remove(number)
    account.bill("b3")
    account.read(7 * HOUR)
    assert account.postings() == {"b2": "cleared", "b3": "open"}
    assert account.store.live("payment") == {}
    assert account.paid() == {"9b2": 100}
    account.bill("b1")
    account.read(7 * HOUR)
    assert account.postings() == {"b1": "open", "b2": "cleared", "b3": "open"}, "it is there again as it was"


def test_who_does_not_remember_finds_what_vanished_too(account: Account) -> None:
    """Another process reads everything: what is held as open and not there is gone."""
    account.bill("b1")
    account.bill("b2")
    account.read()
    account.remove("b1")
    _MEMORIES.clear()
    account.read(7 * HOUR)
    assert account.postings() == {"b2": "open"}


def test_many_open_items_do_not_vanish_at_once(account: Account) -> None:
    """A user who lost sight of a company's books deletes nothing here."""
    for number in range(8):
        account.bill(f"b{number}")
    account.payment("p1", 30)
    account.read()
    everything = dict(account.world.rows[ITEMS])
    account.world.rows[ITEMS].clear()
    source = make_source(account.world.connection(), LANDSCAPE)
    found = pull(source, "accounting_items", account.cursor, Store(), now=NOW + 7 * HOUR)
    assert [word for mapped in found.mapped for word in mapped.complete] == []
    account.world.rows[ITEMS] = everything
    account.cursor = found.cursor
    account.read(8 * HOUR)
    assert set(account.postings().values()) == {"open"}
    source.close()


def test_a_host_that_heeds_no_order_hides_no_year() -> None:
    """Asked for the first fiscal year it names any: what is before that one is asked for as well."""
    account = Account(sorts=False)
    for year in ("2026", "2024", "2025"):
        account.bill(f"b{year}", FiscalYear=year)
    account.read()
    assert account.postings().keys() == {"b2024", "b2025", "b2026"}
    account.world.server.close()


def test_a_host_that_heeds_no_condition_adds_no_other_s_books() -> None:
    """Vendors' items and another company's are given all the same, and passed over."""
    account = Account(filters=False)
    account.bill("b1")
    account.bill("b2", CompanyCode="2020")
    account.put("k1", Decimal(5), TODAY, FinancialAccountType="K", AccountingDocumentType="KZ")
    account.read()
    account.read(HOUR)
    assert account.postings() == {"b1": "open"}
    account.world.server.close()


@pytest.mark.parametrize("name", ["IsCleared", "AccountingDocumentCreationDate", "IsReversed", "ClearingIsReversed"])
@pytest.mark.parametrize("says", [True, False], ids=["says so", "keeps its metadata"])
def test_a_release_without_a_property_is_asked_without_it(name: str, says: bool) -> None:
    """Neither selected nor made a condition of, whether the metadata tells or only a refusal does."""
    account = Account(without={name}, quiet=not says)
    account.bill("b1")
    account.read()
    account.read(HOUR)
    account.change("b1", **{one: value for one, value in CLEARED.items() if one != name})
    account.read(7 * HOUR)
    assert account.postings() == {"b1": "cleared"}
    account.world.server.close()


def test_a_year_of_zeros_is_none(account: Account) -> None:
    """A year that says nothing is written as 0000: the item's own counts."""
    account.bill("b1", InvoiceReferenceFiscalYear="0000")
    account.change("b1", **{**CLEARED, "ClearingDocFiscalYear": "0000"})
    account.payment("p1", 40, InvoiceReference="b1", InvoiceReferenceFiscalYear="0000")
    account.read()
    rows = account.store.live("payment_application").values()
    assert {(row["payment_key"], row["amount"]) for row in rows} == {("1010/2026/p1", Decimal(40)), ("1010/2026/c1", Decimal(60))}
    account.payment("p2", 5, day=account.now.date(), InvoiceReference="b1", InvoiceReferenceFiscalYear="0000")
    account.read(HOUR)
    assert account.paid() == {"9b1": 100}


def test_a_company_that_is_added_is_read_from_its_beginning(account: Account) -> None:
    """Its old items too, though the others' are read by what changed; by the accounting items as by the journal lines."""
    account.bill("b1")
    account.bill("b2", CompanyCode="2020")
    account.read()
    account.read(HOUR, landscape=BOTH, entities=("DE01", "GB01"))
    assert account.postings() == {"b1": "open", "b2": "open"}


def test_a_posting_that_comes_late_into_another_year_is_found(account: Account) -> None:
    """A fiscal year that is no calendar year, and one that was closed: by the day of entry."""
    account.bill("b1")
    account.read()
    account.bill("b2", day=LONG_AGO - 300 * DAY, FiscalYear="2025")
    account.change("b2", AccountingDocumentCreationDate=TODAY, LastChangeDate=None)
    account.bill("b3", FiscalYear="2027")
    account.change("b3", AccountingDocumentCreationDate=TODAY)
    account.read(HOUR)
    assert account.postings() == {"b1": "open", "b2": "open", "b3": "open"}


def test_a_slice_that_fails_costs_no_other_its_items(account: Account) -> None:
    """A fiscal year that breaks in the middle of a read: the pull fails, and the next one has it all, once."""
    for year in ("2024", "2025", "2026"):
        for number in range(3):
            account.bill(f"b{year}{number}", FiscalYear=year)
    broken = [True]
    account.world.hook = lambda asked: Reply(b"", 500) if broken[0] and "FiscalYear eq '2025'" in asked.query.get("$filter", "") else None
    with pytest.raises(TransientError):
        account.read()
    broken[0] = False
    account.read()
    assert len(account.postings()) == 9


def lines(
    world: World, store: Store, cursor: Cursor | None, *, later: timedelta = timedelta(), landscape: Landscape = LANDSCAPE, **more: Any
) -> Any:
    """A pull of journal lines; the cursor behind it."""
    source = make_source(world.connection(**more), landscape)
    found = pull(source, "journal_lines", cursor, store, now=NOW + later).cursor
    source.close()
    return found


def line(world: World, number: str, *, company: str = "1010", ledger: str = "0L", hours: int = 100, item: int = 1) -> None:
    """A line that was posted some hours ago."""
    at = NOW - timedelta(hours=hours)
    world.put(
        "GLAccountLineItem", Ledger=ledger, CompanyCode=company, FiscalYear="2026", AccountingDocument=number, LedgerGLLineItem=f"{item:06d}",
        GLAccount="41000000", FinancialAccountType="S", AmountInTransactionCurrency=Decimal(7), TransactionCurrency="EUR", PostingDate=at.date(),
        CreationDateTime=at, LastChangeDateTime=at,
    )  # fmt: skip


def posted(store: Store) -> set[str]:
    return {key.split("/")[3] for key in store.live("gl_posting")}


def test_journal_lines_of_a_company_that_is_added_are_read_from_their_beginning(account: Account) -> None:
    """And those of the others by what changed."""
    world, store = account.world, Store()
    line(world, "1")
    line(world, "2", company="2020")
    cursor = lines(world, store, None)
    assert posted(store) == {"1"}
    lines(world, store, cursor, later=HOUR, landscape=BOTH, entities=("DE01", "GB01"))
    assert posted(store) == {"1", "2"}


def test_a_user_who_is_let_see_the_journal_later_misses_no_line(account: Account) -> None:
    """As long as no line was ever read each pull begins at the beginning."""
    world, store = account.world, Store()
    cursor = lines(world, store, None)
    line(world, "1")
    lines(world, store, cursor, later=HOUR)
    assert posted(store) == {"1"}


def test_other_ledgers_and_companies_are_no_lines_of_ours() -> None:
    """A host that heeds no condition gives them; an extension ledger's would count twice."""
    world, store = World(filters=False), Store()
    line(world, "1")
    line(world, "2", ledger="2L")
    line(world, "3", company="2020")
    lines(world, store, None)
    assert posted(store) == {"1"}
    world.server.close()


@pytest.mark.parametrize("links", [True, False])
def test_documents_whose_lines_have_the_same_numbers_are_told_apart(links: bool) -> None:
    """A page holds one document's lines alone, so that they are asked for by themselves; the host gives everybody's: it comes to an end."""
    world, store = World(filters=False, links=links, cap=3), Store()
    for number in range(4):
        for item in range(1, 4):
            line(world, f"100{number}", item=item)
    lines(world, store, None)
    assert len(store.live("gl_posting")) == 12
    world.server.close()
