"""Journal lines of the general ledger: every document of bills and payments with all its lines, which sum up to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sandbox.records import Entity, Field, fields
from sandbox.s4.define import EntitySet, attribute, constant, day, flag, money, of_entity, text
from sandbox.world.engine import World
from sandbox.world.model import Invoice, Payment
from sandbox.world.reference import LEGAL_ENTITIES

REVENUE, TAX, RECEIVABLES, BANK = "41000000", "22000000", "12100000", "11001000"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a document in the leading ledger."""

    entity: str
    year: str
    document: str
    line: int
    kind: str
    account: str
    amount: Decimal
    currency: str
    posted: datetime
    changed: datetime
    customer: str = ""
    reversed: bool = False
    reversal: bool = False

    @property
    def key(self) -> str:
        """Ledger, company code, year, document and line in one."""
        return f"0L/{LEGAL_ENTITIES[self.entity].company_code}/{self.year}/{self.document}/{self.line:06d}"


def lines(world: World, host: str) -> Iterator[Line]:
    """Every line in a host's books: those of billing documents first, then those of payments and of their reversals."""
    for invoice in world.invoices.values():
        if invoice.host == host:
            yield from _of_invoice(invoice)
    for payment in world.payments.values():
        if payment.posted_at is None or LEGAL_ENTITIES[payment.entity].host != host:
            continue
        yield from _of_payment(payment, payment.year, payment.document, payment.posted_at, payment.item_changed or payment.posted_at, 1)
        if payment.reversed and payment.reversed_at is not None:
            moment = payment.reversed_at
            yield from _of_payment(payment, payment.reverse_year, payment.reverse_document, moment, moment, -1)


def _of_invoice(one: Invoice) -> Iterator[Line]:
    parts = ((RECEIVABLES, one.gross, one.customer), (REVENUE, -one.net, ""), (TAX, -one.tax, ""))
    for at, (account, amount, customer) in enumerate(parts, 1):
        if amount:
            yield Line(
                one.entity, one.year, one.document, at, "RV", account, amount * one.sign, one.currency, one.created_at,
                one.item_changed if customer else one.created_at, customer, one.cancelled, one.kind == "S1",
            )  # fmt: skip


def _of_payment(one: Payment, year: str, document: str, posted: datetime, changed: datetime, sign: int) -> Iterator[Line]:
    parts = [(BANK, one.amount, ""), *((RECEIVABLES, -amount, one.customer) for _, amount in one.applications)]
    for at, (account, amount, customer) in enumerate(parts, 1):
        yield Line(
            one.entity, year, document, at, "DZ", account, amount * sign, one.currency, posted, changed, customer,
            one.reversed and sign > 0, sign < 0,
        )  # fmt: skip


def journal(host: str) -> EntitySet:
    """The journal lines of a host as an entity set."""
    entity = Entity(
        "GLAccountLineItem", lambda w: lines(w, host), lambda row: row.key, lambda row: row.changed,
        fields(
            Field("ID", "Edm.String", lambda w, r: r.key), text("SourceLedger", 2, constant("0L")), text("Ledger", 2, constant("0L")),
            text("CompanyCode", 4, of_entity("company_code")), text("FiscalYear", 4, of="year"),
            text("AccountingDocument", 10, of="document"), text("LedgerGLLineItem", 6, lambda w, r: f"{r.line:06d}"),
            text("AccountingDocumentItem", 3, lambda w, r: f"{r.line:03d}"), text("AccountingDocumentType", 2, of="kind"),
            text("GLAccount", 10, of="account"), text("FinancialAccountType", 1, lambda w, r: "D" if r.customer else "S"),
            text("Customer", 10, of="customer"), text("DebitCreditCode", 1, lambda w, r: "S" if r.amount >= 0 else "H"),
            money("AmountInTransactionCurrency", attribute("amount")), text("TransactionCurrency", 5, of="currency"),
            day("PostingDate", lambda w, r: r.posted.date()), day("DocumentDate", lambda w, r: r.posted.date()),
            day("ClearingDate", constant(None)),
            Field("CreationDateTime", "Edm.DateTimeOffset", attribute("posted")),
            Field("LastChangeDateTime", "Edm.DateTimeOffset", attribute("changed")),
            flag("IsReversal", attribute("reversal")), flag("IsReversed", attribute("reversed")),
        ),
        breakable={"missing_key": "AccountingDocument", "bad_amount": "AmountInTransactionCurrency",
                   "bad_currency": "TransactionCurrency", "bad_date": "PostingDate"},
        drift="AmountInTransactionCurrency",
    )  # fmt: skip
    return EntitySet("API_GLACCOUNTLINEITEM", entity, "GLAccountLineItemType", ("ID",), {})
