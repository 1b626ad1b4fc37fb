"""Bills and what becomes of them short of money: posting, disputes, credit notes, cancellations, limits."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sandbox.world.engine import World, at_hour, bank_day, happening
from sandbox.world.model import Customer, Invoice, Order
from sandbox.world.reference import LEGAL_ENTITIES, rounded


def next_document(world: World, entity: str, kind: str) -> tuple[str, str]:
    """Fiscal year and number of an entity's next accounting document; kind is RV (billing) or DZ (payment)."""
    base = 9_400_000_000 if kind == "RV" else 1_400_000_000
    return str(world.now.year), str(world.count(f"{kind}:{entity}", base))


def create_invoice(world: World, order: Order, net: Decimal, kind: str, refers_to: str | None = None) -> Invoice:
    """A billing document of an order, posted at once. Credit notes and cancellations name the invoice they refer to."""
    entity = LEGAL_ENTITIES[order.entity]
    customer = world.customers[order.customer]
    tax = rounded(net * entity.tax, order.currency)
    year, document = next_document(world, order.entity, "RV")
    number = str(world.count(f"billing:{entity.host}", entity.billing_base))
    today = world.now.date()
    new = Invoice(
        number=number.zfill(10) if entity.host == "legacy-latam" else number, host=entity.host, entity=order.entity,
        customer=order.customer, order=order.number, kind=kind, net=net, tax=tax, currency=order.currency,
        company_amount=world.company_amount(net + tax, order.currency, order.entity), issued=today,
        due=today + timedelta(days=customer.terms if kind == "F2" else 0), year=year, document=document,
        created_at=world.now, changed_at=world.now, item_changed=world.now, refers_to=refers_to,
    )  # fmt: skip
    world.invoices[new.number] = new
    world.settle_open(new)
    return new


@happening
def bill(world: World, number: str) -> None:
    """A delivered order is billed; when it will be paid, disputed, credited or cancelled is decided here."""
    order, rng = world.orders[number], world.rng
    if order.billing_status == "C" or order.delivery_status != "C":
        return
    order.billing_status, order.changed_at = "C", world.now
    invoice = create_invoice(world, order, order.net, "F2")
    customer = world.customers[order.customer]
    expected = bank_day(invoice.due + timedelta(days=days_past_due(world, customer)))
    world.later("pay", invoice.number, at=max(world.now, at_hour(expected, rng.uniform(8, 16))))
    if rng.random() < 0.06:
        world.later("dispute", invoice.number, days=rng.uniform(4, 20))
    if rng.random() < 0.02:
        world.later("credit", invoice.number, days=rng.uniform(3, 25))
    elif rng.random() < 0.01:
        world.later("cancel", invoice.number, days=rng.uniform(0.2, 3))
    if rng.random() < 0.3:
        world.later("forecast_receipt", invoice.number, str(expected), days=0.1)


def days_past_due(world: World, customer: Customer) -> int:
    """How many days after the due date this customer pays this time; negative is early."""
    rng = world.rng
    if rng.random() < customer.late_share:
        return 1 + min(150, int(rng.expovariate(1 / customer.days_late)))
    return -rng.randint(0, min(8, customer.terms))


@happening
def dispute(world: World, number: str) -> None:
    """The customer contests an open invoice; it is set aside until cleared up."""
    if mark_disputed(world, number):
        world.later("end_dispute", number, days=world.rng.uniform(5, 30))


def mark_disputed(world: World, number: str) -> bool:
    """Flags an open invoice as disputed; False when it is settled, cancelled or flagged already."""
    invoice = world.invoices[number]
    if invoice.disputed or invoice.open <= 0 or invoice.in_payment:
        return False
    invoice.disputed = True
    invoice.changed_at = invoice.item_changed = world.now
    world.settle_open(invoice)
    return True


@happening
def end_dispute(world: World, number: str) -> None:
    """A dispute ends: one in three with a credit note."""
    invoice = world.invoices[number]
    if not invoice.disputed:
        return
    invoice.disputed = False
    invoice.changed_at = invoice.item_changed = world.now
    world.settle_open(invoice)
    if world.rng.random() < 0.33:
        credit(world, number)


@happening
def credit(world: World, number: str) -> None:
    """A credit note over a part of an invoice; it is set off against the customer's account, not against the invoice."""
    invoice = world.invoices[number]
    if invoice.open <= 0 or invoice.in_payment:
        return
    part = rounded(invoice.net * Decimal(f"{world.rng.uniform(0.05, 0.25):.3f}"), invoice.currency)
    create_invoice(world, world.orders[invoice.order], part, "G2", refers_to=number)


@happening
def cancel(world: World, number: str) -> None:
    """An invoice is cancelled by a document of its own and billed again."""
    invoice = world.invoices[number]
    if invoice.open <= 0 or invoice.paid or invoice.in_payment:
        return
    order = world.orders[invoice.order]
    storno = create_invoice(world, order, invoice.net, "S1", refers_to=number)
    invoice.cancelled, invoice.changed_at = True, world.now
    for one in (invoice, storno):
        one.cleared_on = one.cleared_created = world.now.date()
        one.clearing_document, one.clearing_year = storno.document, storno.year
        one.item_changed = world.now
        world.settle_open(one)
    order.billing_status = "A"
    world.later("bill", order.number, days=world.rng.uniform(0.1, 1))


@happening
def change_a_limit(world: World) -> None:
    """Now and then a customer's credit limit is reviewed."""
    world.later("change_a_limit", days=world.rng.uniform(0.5, 2) * 160 / len(world.customers))
    customer = world.customers[world.rng.choice(list(world.customers))]
    set_limit(world, customer, customer.limit * Decimal(str(world.rng.choice((0.8, 0.9, 1.1, 1.2, 1.25)))))


def set_limit(world: World, customer: Customer, limit: Decimal) -> None:
    """Gives a customer a new credit limit, rounded to hundreds."""
    customer.limit = ((limit / 100).to_integral_value() * 100).quantize(Decimal(1))
    customer.credit_changed_at = world.now
    customer.version += 1
    if customer.entity == "MX01":
        world.legacy_touched.add(customer.number)
