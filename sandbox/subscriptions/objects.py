"""Subscribers and their invoices as the billing tool shows them: cents, seconds since 1970, objects within objects."""

from __future__ import annotations

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from sandbox.world import subscriptions
from sandbox.world.engine import World
from sandbox.world.subscriptions import Bill, Subscriber

Object = dict[str, Any]


def seconds(moment: datetime) -> int:
    """A moment as the API writes it."""
    return int(moment.timestamp())


def cents(amount: Decimal) -> int:
    """An amount as the API writes it."""
    return int(amount.scaleb(2))


def customers(world: World) -> list[Object]:
    """Whoever subscribes."""
    return [_customer(one) for one in subscriptions.subscribers(world)]


def invoices(world: World) -> list[Object]:
    """Every invoice as it is now."""
    return [_invoice(one, world.now) for one in subscriptions.bills(world)]


def _customer(one: Subscriber) -> Object:
    came = seconds(one.since)
    return {
        "id": one.id, "object": "customer", "name": one.name, "address": {"country": one.country}, "currency": subscriptions.CURRENCY,
        "invoice_settings": {"net_days": one.terms}, "plan": {"name": one.plan, "quantity": one.drives}, "created": came, "updated": came,
    }  # fmt: skip


def _invoice(bill: Bill, now: datetime) -> Object:
    status, monthly = bill.status(now), bill.subscriber.price * bill.subscriber.drives
    lines = [_line(f"{bill.subscriber.plan}, until {bill.until}", bill.subscriber.drives, monthly)]
    if bill.total > monthly:
        lines.append(_line("Replaced sensors", 1, bill.total - monthly))
    paid = status == "paid" and bill.paid_at is not None
    return {
        "id": bill.id, "object": "invoice", "number": bill.number, "customer": bill.subscriber.id, "status": status,
        "created": seconds(bill.created_at), "due_date": seconds(datetime.combine(bill.due, time(), UTC)), "currency": subscriptions.CURRENCY,
        "total": cents(bill.total), "tax": 0, "amount_paid": cents(bill.total) if paid else 0,
        "payment": {"id": bill.payment, "method": "card", "settled_at": seconds(bill.paid_at)} if paid and bill.paid_at else None,
        "disputed": bill.disputed(now), "dispute_reason": bill.reason if bill.disputed(now) else None,
        "lines": lines, "updated": seconds(bill.changed_at(now)),
    }  # fmt: skip


def _line(text: str, quantity: int, amount: Decimal) -> Object:
    return {"description": text, "quantity": quantity, "amount": cents(amount)}
