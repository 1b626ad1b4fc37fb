"""A small company's books, made once over JSON-RPC: accounts, years, customers with limits, sales and their invoices in two currencies.
What is paid on them is each test's own.

Invoices are posted in the order of their dates, since the ERP refuses a number that goes back in time.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.tryton.acts import bill, quote, sell
from tests.tryton.rpc import Rpc

LIMITS = {"Alster Werke": "50000.00", "Brenner & Sohn": "8000.00", "Cetona SpA": "0.00", "Dunmore Ltd": None, "Elbe Pumpen": "120000.00"}
"""Customer -> its credit limit in EUR; none: without a limit."""


class Books:
    """The ids that the seed has made, by what they are called."""

    def __init__(self, rpc: Rpc, today: date) -> None:
        self.rpc = rpc
        self.today = today
        self.ids: dict[str, int] = {}

    def make(self, called: str, model: str, /, **values: Any) -> int:
        """A new record that is remembered as `called`."""
        self.ids[called] = self.rpc.create(model, **values)
        return self.ids[called]


def seed(rpc: Rpc, today: date) -> None:
    """Fills an empty database of the ERP with the three months before `today`."""
    books = Books(rpc, today)
    _company(books)
    _accounts(books)
    _year(books)
    _product(books)
    _parties(books)
    _trade(books)


def _company(books: Books) -> None:
    rpc = books.rpc
    for code, rate in (("EUR", "1"), ("USD", "1.25")):
        books.make(code, "currency.currency", name=code, code=code, symbol=code, rounding=Decimal("0.01"), digits=2)
        rpc.create("currency.currency.rate", currency=books.ids[code], date=date(books.today.year - 1, 1, 1), rate=Decimal(rate))
    party = books.make("company party", "party.party", name="Hansa Antriebe GmbH", addresses=[["create", [{"street": "Kai 1"}]]])
    company = books.make("company", "company.company", party=party, currency=books.ids["EUR"], timezone="Europe/Berlin")
    rpc.model("res.user.write", [rpc.user], {"companies": [["add", [company]]], "company": company})
    rpc.look_around()


def _accounts(books: Books) -> None:
    company = books.ids["company"]
    for name, kind in (
        ("receivable", {"statement": "balance", "assets": True, "receivable": True}),
        ("payable", {"statement": "balance", "payable": True}),
        ("revenue", {"statement": "income", "revenue": True}),
        ("expense", {"statement": "income", "expense": True}),
        ("cash", {"statement": "balance", "assets": True}),
    ):
        made = books.make(f"{name} type", "account.account.type", name=name, company=company, **kind)
        settled = name in ("receivable", "payable")
        books.make(
            name, "account.account", name=name.capitalize(), code=name[:3].upper(), type=made, company=company, reconcile=settled,
            party_required=settled, closed=False,
        )  # fmt: skip
    configuration = {"default_account_receivable": books.ids["receivable"], "default_account_payable": books.ids["payable"]}
    books.rpc.model("account.configuration.write", [1], configuration)


def _year(books: Books) -> None:
    rpc, company = books.rpc, books.ids["company"]
    kinds = {name: rpc.find("ir.sequence.type", [["name", "=", name]]) for name in ("Account Move", "Invoice")}
    for year in range(books.today.year - 1, books.today.year + 2):
        moves = rpc.create("ir.sequence.strict", name=f"Moves {year}", sequence_type=kinds["Account Move"], company=company)
        numbers = rpc.create(
            "ir.sequence.strict", name=f"Invoices {year}", sequence_type=kinds["Invoice"], company=company, prefix=f"R{year}-", padding=5
        )
        of_invoices = {
            "company": company, "in_invoice_sequence": numbers, "in_credit_note_sequence": numbers,
            "out_invoice_sequence": numbers, "out_credit_note_sequence": numbers,
        }  # fmt: skip
        made = rpc.create(
            "account.fiscalyear", name=str(year), start_date=date(year, 1, 1), end_date=date(year, 12, 31), company=company,
            move_sequence=moves, invoice_sequences=[["create", [of_invoices]]],
        )  # fmt: skip
        rpc.model("account.fiscalyear.create_period", [made])


def _product(books: Books) -> None:
    rpc = books.rpc
    unit = rpc.find("product.uom", [["name", "=", "Unit"]])
    category = rpc.create(
        "product.category", name="Services", accounting=True, account_revenue=books.ids["revenue"], account_expense=books.ids["expense"]
    )
    template = rpc.create(
        "product.template", name="Overhaul", type="service", default_uom=unit, sale_uom=unit, salable=True, list_price=Decimal(100),
        account_category=category,
    )  # fmt: skip
    books.ids["product"] = rpc.find("product.product", [["template", "=", template]]) or rpc.create("product.product", template=template)
    books.ids["unit"] = unit
    days = {"type": "remainder", "relativedeltas": [["create", [{"days": 30}]]]}
    books.make("30 days", "account.invoice.payment_term", name="30 days", lines=[["create", [days]]])
    half = {"type": "percent_on_total", "ratio": Decimal("0.5"), "divisor": Decimal(2), "relativedeltas": [["create", [{"days": 10}]]]}
    books.make("halves", "account.invoice.payment_term", name="halves", lines=[["create", [half, days]]])


def _parties(books: Books) -> None:
    for name, limit in LIMITS.items():
        party = books.make(name, "party.party", name=name, addresses=[["create", [{"street": "Weg 1"}]]])
        if limit is not None:
            books.rpc.model("party.party.write", [party], {"credit_limit_amount": Decimal(limit)})


def _trade(books: Books) -> None:
    """Eight sales; six are invoiced, two of those in dollars and one in halves, and two are drafts."""
    first = books.today - timedelta(days=90)
    sold = (
        ("Alster Werke", "EUR", 3, "30 days"),
        ("Brenner & Sohn", "EUR", 7, "30 days"),
        ("Cetona SpA", "USD", 4, "30 days"),
        ("Elbe Pumpen", "EUR", 20, "halves"),
        ("Alster Werke", "EUR", 5, "30 days"),
        ("Dunmore Ltd", "USD", 9, "30 days"),
    )
    for place, (customer, currency, quantity, terms) in enumerate(sold):
        at = first + timedelta(days=7 * place)
        sale = sell(books.rpc, books.ids, customer, currency, quantity, terms, at)
        books.ids[f"invoice {place}"] = bill(books.rpc, sale, at)
    quote(books.rpc, books.ids, "Elbe Pumpen", "EUR", 2, "30 days", first)
    quote(books.rpc, books.ids, "Brenner & Sohn", "USD", 1, "30 days", first)
