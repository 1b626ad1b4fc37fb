"""Money coming in: bank lines first, the ERP's posting the next day, returns, clearing and its reversal."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sandbox.world.engine import World, at_hour, bank_day, happening
from sandbox.world.model import ZERO, BankLine, Invoice, Payment
from sandbox.world.receivables import next_document
from sandbox.world.reference import BANK_ACCOUNTS, rounded


@happening
def pay(world: World, number: str) -> None:
    """A customer pays an invoice, sometimes with its neighbours, sometimes only in part."""
    invoice, rng = world.invoices[number], world.rng
    if invoice.in_payment or invoice.open <= 0:
        return
    if invoice.disputed:
        world.later("pay", number, days=7)
        return
    amounts = {number: invoice.open}
    if rng.random() < 0.25:
        amounts.update(_neighbours(world, invoice))
    if len(amounts) == 1 and not invoice.paid and rng.random() < 0.06:
        amounts[number] = rounded(invoice.open * Decimal(f"{rng.uniform(0.4, 0.7):.2f}"), invoice.currency)
        world.later("pay", number, days=rng.uniform(8, 20))
    for key in sorted(world.open_invoices[invoice.customer]):
        note = world.invoices[key]
        fits = note.kind == "G2" and note.currency == invoice.currency and not note.in_payment
        if fits and sum(amounts.values(), ZERO) + note.open > 0:
            amounts[key] = note.open
    receive(world, amounts)


def _neighbours(world: World, invoice: Invoice) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for key in sorted(world.open_invoices[invoice.customer] - {invoice.number})[:5]:
        other = world.invoices[key]
        same = other.kind == "F2" and other.currency == invoice.currency and not other.disputed
        if same and not other.in_payment and other.due <= invoice.due + timedelta(days=5):
            found[key] = other.open
    return found


def receive(world: World, amounts: dict[str, Decimal]) -> Payment:
    """Books money for some invoices of one customer at the bank today; the ERP posts it on its next working morning.

    `amounts`: invoice number -> amount applied, negative for a credit note that is set off.
    """
    numbers = sorted(amounts, key=lambda key: (amounts[key] < 0, key))
    first = world.invoices[numbers[0]]
    day = bank_day(world.now.date())
    ordinal = world.count("payment")
    structured = first.number if len(numbers) == 1 and world.rng.random() < 0.5 else ""
    end_to_end = f"E2E-{first.customer}-{ordinal:06d}" if world.rng.random() < 0.85 else "NOTPROVIDED"
    new = Payment(
        id=f"P{ordinal:07d}", entity=first.entity, customer=first.customer, account=f"{first.entity}-{first.currency}",
        amount=sum(amounts.values(), ZERO), currency=first.currency, value_date=day, end_to_end=end_to_end,
        structured=structured, remittance="" if structured else "INV " + " ".join(numbers),
        applications=[(key, amounts[key]) for key in numbers], created_at=world.now,
    )  # fmt: skip
    world.payments[new.id] = new
    for key in numbers:
        world.invoices[key].in_payment = True
    world.book(
        BankLine(
            account=new.account, reference=f"{new.account[:4]}{day:%y%m%d}{ordinal:07d}", booked=day, value_date=day,
            amount=new.amount, counterparty=world.customers[new.customer].name, end_to_end=end_to_end,
            structured=structured, remittance=new.remittance, code="RCDT", payment=new.id,
        )
    )  # fmt: skip
    legacy = first.host == "legacy-latam"
    posting = world.now if legacy else at_hour(bank_day(day + timedelta(days=1)), world.rng.uniform(5.5, 9))
    world.later("post_payment", new.id, at=max(posting, world.now))
    return new


@happening
def post_payment(world: World, key: str) -> None:
    """The ERP posts a received payment and clears what it covers."""
    payment = world.payments[key]
    if payment.posted_at is not None:
        return
    payment.year, payment.document = next_document(world, payment.entity, "DZ")
    payment.posted_at = payment.item_changed = world.now
    payment.company_amount = world.company_amount(payment.amount, payment.currency, payment.entity)
    for number, amount in payment.applications:
        invoice = world.invoices[number]
        invoice.in_payment = False
        invoice.paid += amount * invoice.sign
        invoice.paid_on, invoice.paid_reference = payment.value_date, payment.id
        invoice.item_changed = world.now
        if invoice.paid >= invoice.gross:
            invoice.cleared_on, invoice.cleared_created = payment.value_date, world.now.date()
            invoice.clearing_document, invoice.clearing_year = payment.document, payment.year
            invoice.clearing_reversed = False
        world.settle_open(invoice)
        world.later("realise_receipt", number, amount, days=0.05)
    if world.rng.random() < 0.012:
        world.later("return_payment", key, days=world.rng.uniform(1, 4))


@happening
def return_payment(world: World, key: str) -> None:
    """The bank takes a payment back; the ERP reverses it the next morning and the invoices stand open again."""
    payment = world.payments[key]
    if payment.returned_at is not None or payment.posted_at is None:
        return
    day = bank_day(world.now.date())
    payment.returned_at = world.now
    world.book(
        BankLine(
            account=payment.account, reference=f"{payment.account[:4]}{day:%y%m%d}R{world.count('return'):06d}",
            booked=day, value_date=day, amount=-payment.amount, counterparty=world.customers[payment.customer].name,
            end_to_end=payment.end_to_end, structured=payment.structured, remittance=payment.remittance, code="RRTN",
            payment=key, return_reason=world.rng.choice(("AC04", "AM04", "MD06")),
        )
    )  # fmt: skip
    world.later("reverse_payment", key, at=at_hour(bank_day(day + timedelta(days=1)), 7.5))


@happening
def reverse_payment(world: World, key: str) -> None:
    """The ERP takes back a returned payment's posting and its clearing."""
    payment = world.payments[key]
    if payment.reversed:
        return
    payment.reversed, payment.reversed_at, payment.item_changed = True, world.now, world.now
    payment.reverse_year, payment.reverse_document = next_document(world, payment.entity, "DZ")
    for number, amount in payment.applications:
        invoice = world.invoices[number]
        invoice.paid -= amount * invoice.sign
        invoice.cleared_on = invoice.cleared_created = None
        invoice.clearing_document = invoice.clearing_year = ""
        invoice.clearing_reversed = True
        invoice.item_changed = world.now
        world.settle_open(invoice)
        if invoice.kind == "F2":
            world.later("pay", number, days=world.rng.uniform(5, 12))


@happening
def close_the_day(world: World) -> None:
    """Banks close their books for yesterday at two in the morning; some leave a statement in the drop folder."""
    world.later("close_the_day", at=at_hour(world.now.date() + timedelta(days=1), 2))
    day = world.now.date() - timedelta(days=1)
    for account, closed in world.closings.items():
        before = closed[max(closed)] if closed else None
        balance = BANK_ACCOUNTS[account].opening if before is None else before
        for line in reversed(world.bank_lines[account]):
            if closed and line.booked < day:
                break
            if line.booked <= day:
                balance += line.amount
        closed[day] = balance
        if day.weekday() < 5:
            world.later("statement", account, str(day), days=0.002)
