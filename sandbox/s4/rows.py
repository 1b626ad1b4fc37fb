"""Accounting items as the operational accounting cube shows them: one row per line of a customer's account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sandbox.world.engine import World
from sandbox.world.model import ZERO, Invoice, Payment
from sandbox.world.reference import LEGAL_ENTITIES


@dataclass(frozen=True, slots=True)
class CubeRow:
    """A line of an accounting document: a billing document's (RV), a payment's or its reversal's (DZ)."""

    entity: str
    year: str
    document: str
    item: str
    kind: str
    customer: str
    amount: Decimal
    company_amount: Decimal
    currency: str
    posted: datetime
    changed: datetime
    invoice: Invoice | None
    payment: Payment | None
    reversal: bool = False

    @property
    def key(self) -> str:
        """Company code, year, document and item in one."""
        return f"{LEGAL_ENTITIES[self.entity].company_code}/{self.year}/{self.document}/{self.item}"

    @property
    def cleared(self) -> tuple[date, date, str, str] | None:
        """Clearing date, its creation date, document and year; None while the line is open."""
        if self.kind == "RV":
            one = self.invoice
            if one is None or one.cleared_on is None or one.cleared_created is None:
                return None
            return one.cleared_on, one.cleared_created, one.clearing_document, one.clearing_year
        payment = self.payment
        if payment is None or payment.posted_at is None:
            return None
        if payment.reversed and payment.reversed_at is not None:
            day = payment.reversed_at.date()
            return day, day, payment.reverse_document, payment.reverse_year
        if self.invoice is not None and self.invoice.cleared_on is not None and self.invoice.cleared_created is not None:
            one = self.invoice
            return self.invoice.cleared_on, self.invoice.cleared_created, one.clearing_document, one.clearing_year
        return None


def cube_rows(world: World, host: str) -> Iterator[CubeRow]:
    """Every customer line in a host's books: billing documents first, then payments and reversals."""
    for one in world.invoices.values():
        if one.host == host:
            yield CubeRow(
                one.entity, one.year, one.document, "001", "RV", one.customer, one.gross * one.sign,
                one.company_amount * one.sign, one.currency, one.created_at, one.item_changed, one, None,
            )  # fmt: skip
    for payment in world.payments.values():
        if payment.posted_at is None or LEGAL_ENTITIES[payment.entity].host != host:
            continue
        yield from _payment_rows(world, payment)


def _payment_rows(world: World, payment: Payment) -> Iterator[CubeRow]:
    if payment.posted_at is None or payment.item_changed is None:
        return
    rest, last = payment.company_amount, len(payment.applications) - 1
    for at, (number, amount) in enumerate(payment.applications):
        share = payment.company_amount * amount / payment.amount if payment.amount else ZERO
        company = rest if at == last else share.quantize(payment.company_amount)
        rest -= company
        invoice = world.invoices[number]
        changed = max(payment.item_changed, payment.posted_at)
        if invoice.cleared_created is not None and invoice.clearing_document != payment.document:
            changed = max(changed, invoice.item_changed)
        yield CubeRow(
            payment.entity, payment.year, payment.document, f"{at + 2:03d}", "DZ", payment.customer, -amount, -company,
            payment.currency, payment.posted_at, changed, invoice, payment,
        )  # fmt: skip
        if payment.reversed and payment.reversed_at is not None:
            yield CubeRow(
                payment.entity, payment.reverse_year, payment.reverse_document, f"{at + 2:03d}", "DZ", payment.customer,
                amount, company, payment.currency, payment.reversed_at, payment.reversed_at, invoice, payment,
                reversal=True,
            )  # fmt: skip
