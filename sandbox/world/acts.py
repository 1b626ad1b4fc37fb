"""What the control port can make happen, each by one word."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sandbox.world import cash, receivables, sales
from sandbox.world.engine import World
from sandbox.world.model import Customer, Invoice
from sandbox.world.operations import Refused, operation
from sandbox.world.reference import LEGAL_ENTITIES, rounded

Act = Callable[..., dict[str, Any]]


@operation
def act(world: World, *, do: str, **arguments: Any) -> dict[str, Any]:
    """Makes something happen now. Refused when there is no such act, or nothing it could happen to."""
    if do not in ACTS:
        raise Refused("UNKNOWN_ACT", f"unknown act {do!r}; known: {', '.join(sorted(ACTS))}")
    try:
        return {"do": do, **ACTS[do](world, **arguments)}
    except (KeyError, TypeError, ValueError, ArithmeticError) as wrong:
        raise Refused("BAD_ACT", f"{do}: {wrong}") from wrong


def _customer(world: World, number: str | None) -> Customer:
    if number is None:
        return sales.pick(world)
    if number not in world.customers:
        raise Refused("NO_CUSTOMER", f"no customer {number}")
    return world.customers[number]


def new_contract(
    world: World,
    customer: str | None = None,
    value: str | float | None = None,
    beyond_limit: bool = False,
    currency: str | None = None,
) -> dict[str, Any]:
    """A contract in approval; `value` in the customer's currency, or beyond its limit."""
    who = _customer(world, customer)
    if currency not in (None, who.currency):
        raise Refused("BAD_CURRENCY", f"customer {who.number} is invoiced in {who.currency}")
    amount = rounded(who.typical, who.currency) if value is None else rounded(Decimal(str(value)), who.currency)
    if beyond_limit and value is None:
        amount = rounded(world.convert(who.limit * Decimal("1.25"), who.limit_currency, who.currency), who.currency)
    contract = sales.draft_contract(world, who, amount, beyond=beyond_limit)
    contract.status = "InApproval"
    return {"contract": contract.number, "id": contract.id, "customer": who.number, "value": f"{amount:f}",
            "currency": who.currency, "legal_entity": who.entity, "host": _host(who)}  # fmt: skip


def activate_contract(
    world: World,
    contract: str | None = None,
    customer: str | None = None,
    value: str | float | None = None,
    beyond_limit: bool = False,
) -> dict[str, Any]:
    """Activates a contract (a waiting one, the one named, or a new one for a customer); its blocked order appears."""
    if contract is None and (customer is not None or value is not None or beyond_limit or not world.awaiting):
        contract = str(new_contract(world, customer, value, beyond_limit)["contract"])
    elif contract is None:
        contract = world.awaiting[0]
    order = sales.activate(world, contract)
    made = world.contracts[contract]
    return {"contract": contract, "id": made.id, "order": order.number, "host": order.host, "customer": order.customer,
            "value": f"{order.net:f}", "currency": order.currency, "legal_entity": order.entity}  # fmt: skip


def _host(customer: Customer) -> str:
    return LEGAL_ENTITIES[customer.entity].host


def deliver(world: World, order: str | None = None) -> dict[str, Any]:
    """Delivers an order now: the one named, or any that is due for it."""
    key = order or _first(o.number for o in world.orders.values() if o.delivery_status == "A" and not o.block)
    if world.orders[key].block:
        raise Refused("BLOCKED", f"order {key} is blocked")
    sales.deliver(world, key)
    return {"order": key}


def invoice(world: World, order: str | None = None) -> dict[str, Any]:
    """Bills a delivered order now; delivers it first when that is still to be done."""
    key = order or _first(o.number for o in world.orders.values() if o.billing_status == "A" and not o.block and o.net > 0)
    deliver(world, key)
    receivables.bill(world, key)
    made = next(i for i in reversed(world.invoices.values()) if i.order == key and i.kind == "F2")
    return {"order": key, "invoice": made.number, "gross": f"{made.gross:f}", "currency": made.currency}


def pay(world: World, invoice: str | None = None, amount: str | float | None = None, post: bool = True) -> dict[str, Any]:
    """A customer pays an invoice, in full or `amount`; with `post` the ERP posts it at once."""
    key = invoice or _first(i.number for i in world.invoices.values() if i.open > 0 and not i.in_payment)
    one = world.invoices[key]
    if one.open <= 0 or one.in_payment:
        raise Refused("NOT_OPEN", f"invoice {key} is not open or is being paid")
    paid = one.open if amount is None else min(rounded(Decimal(str(amount)), one.currency), one.open)
    payment = cash.receive(world, {key: paid})
    if post:
        cash.post_payment(world, payment.id)
    return {"invoice": key, "payment": payment.id, "amount": f"{paid:f}", "currency": one.currency,
            "document": payment.document}  # fmt: skip


def return_payment(world: World, payment: str | None = None) -> dict[str, Any]:
    """The bank takes a posted payment back; the ERP reverses it at once."""
    key = payment or _first(p.id for p in reversed(world.payments.values()) if p.posted_at and p.returned_at is None)
    cash.return_payment(world, key)
    cash.reverse_payment(world, key)
    return {"payment": key, "invoices": [number for number, _ in world.payments[key].applications]}


def request_approval(world: World, order: str) -> dict[str, Any]:
    """An order now waits for the approval of a colleague."""
    world.orders[order].changed_at = world.now
    world.approvals[order] = "A"
    return {"order": order}


def dispute(world: World, invoice: str | None = None) -> dict[str, Any]:
    """A customer contests an open invoice."""
    key = invoice or _first(i.number for i in world.invoices.values() if i.open > 0 and not i.disputed and not i.in_payment)
    if not receivables.mark_disputed(world, key):
        raise Refused("NOT_OPEN", f"invoice {key} is settled, in payment or disputed already")
    return {"invoice": key}


def change_limit(
    world: World, customer: str | None = None, limit: str | float | None = None, factor: str | float = "1.5"
) -> dict[str, Any]:
    """Gives a customer another credit limit, in the currency of the limit."""
    who = _customer(world, customer)
    before = who.limit
    receivables.set_limit(world, who, before * Decimal(str(factor)) if limit is None else Decimal(str(limit)))
    return {"customer": who.number, "before": f"{before:f}", "limit": f"{who.limit:f}", "currency": who.limit_currency}


def link_account(world: World, customer: str, number: str | None = None) -> dict[str, Any]:
    """Writes an ERP number (the customer's own, or another) into the customer's CRM account."""
    account = world.accounts[sales.account_of(world, _customer(world, customer).number)]
    before, account.erp_number, account.changed_at = account.erp_number, number or customer, world.now
    return {"account": account.id, "before": before, "number": account.erp_number}


def unlink_account(world: World, customer: str) -> dict[str, Any]:
    """Takes the ERP number out of the customer's CRM account."""
    account = world.accounts[sales.account_of(world, _customer(world, customer).number)]
    before, account.erp_number, account.changed_at = account.erp_number, None, world.now
    return {"account": account.id, "before": before, "number": None}


def merge_accounts(world: World, winner: str, loser: str) -> dict[str, Any]:
    """Merges one CRM account into another, as its owner does: deals and contracts move over, the loser goes into the bin."""
    kept, gone = world.accounts[winner], world.accounts[loser]
    if kept.id == gone.id or kept.deleted or gone.deleted:
        raise Refused("BAD_ACT", "two accounts that live are needed")
    world.merged[gone.id] = kept.id
    gone.deleted, gone.changed_at, kept.changed_at = True, world.now, world.now
    for deal in world.opportunities.values():
        if deal.account == gone.id:
            deal.account, deal.changed_at = kept.id, world.now
    for contract in world.contracts.values():
        if contract.account == gone.id:
            contract.account, contract.changed_at = kept.id, world.now
    return {"winner": kept.id, "loser": gone.id}


def upload_certificate(world: World, username: str, public_key: str) -> dict[str, Any]:
    """The administrator of the CRM uploads the certificate by which an integration user may log in with a JWT."""
    world.certificates[username] = public_key
    return {"username": username}


def bulk(world: World, entity: str, n: int) -> dict[str, Any]:
    """Makes `n` records of one kind at once: customers' invoices, opportunities, or contracts in draft."""
    n = int(n)
    if not 0 < n <= 200_000:
        raise Refused("BAD_ACT", f"n is 1 to 200000, not {n}")
    makers: dict[str, Callable[[World], str]] = {
        "invoice": _bulk_invoice, "legacy_invoice": _bulk_legacy, "opportunity": _bulk_opportunity, "contract": _bulk_contract,
    }  # fmt: skip
    if entity not in makers:
        raise Refused("BAD_ACT", f"bulk makes {', '.join(makers)}, not {entity!r}")
    keys = [makers[entity](world) for _ in range(n)]
    return {"entity": entity, "n": n, "first": keys[0], "last": keys[-1]}


def _bulk_legacy(world: World) -> str:
    return _bulk_invoice(world, legacy=True)


def _bulk_invoice(world: World, *, legacy: bool = False) -> str:
    customer = sales.pick(world, legacy=legacy)
    net = rounded(customer.typical * Decimal("0.1"), customer.currency)
    order = sales.place_order(world, customer, net, reference="BULK")
    order.delivery_status = order.billing_status = "C"
    made: Invoice = receivables.create_invoice(world, order, net, "F2")
    world.later("pay", made.number, days=customer.terms)
    return made.number


def _bulk_opportunity(world: World) -> str:
    return sales.new_opportunity(world).id


def _bulk_contract(world: World) -> str:
    customer = sales.pick(world)
    return sales.draft_contract(world, customer, rounded(customer.typical, customer.currency), beyond=False).number


def _first(keys: Any) -> str:
    key = next(iter(keys), None)
    if key is None:
        raise Refused("NOTHING", "there is nothing that this could happen to now")
    return str(key)


ACTS: dict[str, Act] = {
    "new_contract": new_contract, "activate_contract": activate_contract, "deliver": deliver, "invoice": invoice,
    "pay": pay, "return_payment": return_payment, "dispute": dispute, "change_limit": change_limit, "bulk": bulk,
    "request_approval": request_approval, "link_account": link_account, "unlink_account": unlink_account,
    "merge_accounts": merge_accounts, "upload_certificate": upload_certificate,
}  # fmt: skip
