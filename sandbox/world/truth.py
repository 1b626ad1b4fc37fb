"""What is really so in the world: totals and lists to hold a reader's picture against."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.world import operating, subscriptions
from sandbox.world.engine import World
from sandbox.world.model import ZERO
from sandbox.world.reference import BANK_ACCOUNTS, LEGAL_ENTITIES


def state(world: World) -> dict[str, Any]:
    """How many of everything there are."""
    tables = ("customers", "accounts", "opportunities", "contracts", "orders", "invoices", "payments", "flows", "writes")
    counts = {name: len(getattr(world, name)) for name in tables}
    counts["contracts_waiting"] = len(world.awaiting)
    counts["orders_blocked"] = sum(1 for o in world.orders.values() if o.block)
    counts["broken"] = len(world.broken)
    counts["bank_lines"] = sum(len(lines) for lines in world.bank_lines.values())
    counts["agenda"] = len(world.agenda)
    return {"world_at": world.now.isoformat(), "live_from": world.live_from.isoformat(), "seed": world.seed, "counts": counts}


def truth(world: World) -> dict[str, Any]:
    """Totals per legal entity and currency, and the lists that decisions are about. Amounts are text."""
    limits = [
        {"customer": c.number, "legal_entity": c.entity, "limit": f"{c.limit:f}", "currency": c.limit_currency}
        for c in world.customers.values()
    ]
    numbers = {a.customer: a.erp_number for a in world.accounts.values() if a.customer}
    customers = [
        {"customer": c.number, "name": c.name, "legal_entity": c.entity, "system": LEGAL_ENTITIES[c.entity].host,
         "currency": c.currency, "terms": c.terms, "crm_number": numbers.get(c.number)} for c in world.customers.values()
    ] + subscriptions.customers(world)  # fmt: skip
    contracts = [
        {"number": c.number, "id": c.id, "status": c.status, "value": f"{c.value:f}", "currency": c.currency,
         "customer": c.customer, "legal_entity": c.entity, "order": c.order, "beyond_limit": c.beyond,
         "deleted": c.deleted, "activated_at": c.activated_at and c.activated_at.isoformat()}
        for c in world.contracts.values()
    ]  # fmt: skip
    banks = [
        {"account": a.code, "currency": a.currency, "balance": f"{world.balance(a.code):f}",
         "closed": str(max(world.closings[a.code], default="")),
         "closing": f"{world.closings[a.code][max(world.closings[a.code])]:f}" if world.closings[a.code] else None}
        for a in BANK_ACCOUNTS.values()
    ]  # fmt: skip
    closed = operating.closings(world)
    banks.append(
        {"account": operating.ACCOUNT.code, "currency": operating.ACCOUNT.currency, "balance": f"{operating.balance(world):f}",
         "closed": str(max(closed)), "closing": f"{closed[max(closed)][1]:f}"}
    )  # fmt: skip
    return {
        "world_at": world.now.isoformat(), "invoices": [*invoice_totals(world), *subscriptions.totals(world)], "payments": payment_totals(world),
        "limits": limits, "customers": customers, "contracts": contracts, "banks": banks,
        "orders": {"total": len(world.orders), "blocked": [o.number for o in world.orders.values() if o.block]},
    }  # fmt: skip


def invoice_totals(world: World) -> list[dict[str, Any]]:
    """Billing documents by legal entity, company code, currency and kind; gross positive, open signed."""
    rows: dict[tuple[str, str, str], list[Decimal | int]] = {}
    for one in world.invoices.values():
        row = rows.setdefault((one.entity, one.currency, one.kind), [0, ZERO, ZERO, 0, 0, 0])
        row[0] += 1
        row[1] += one.gross
        row[2] += one.open
        row[3] += one.open != 0
        row[4] += one.disputed
        row[5] += one.cancelled
    return [
        {"legal_entity": entity, "company_code": LEGAL_ENTITIES[entity].company_code, "currency": currency, "kind": kind,
         "system": LEGAL_ENTITIES[entity].host, "count": row[0], "gross": f"{row[1]:f}", "open": f"{row[2]:f}",
         "open_count": row[3], "disputed": row[4], "cancelled": row[5]}
        for (entity, currency, kind), row in sorted(rows.items())
    ]  # fmt: skip


def payment_totals(world: World) -> list[dict[str, Any]]:
    """Received payments by legal entity and currency: booked at the bank, posted in the ERP, reversed there."""
    rows: dict[tuple[str, str], list[Decimal | int]] = {}
    for one in world.payments.values():
        row = rows.setdefault((one.entity, one.currency), [0, ZERO, 0, ZERO, 0])
        row[0] += 1
        row[1] += one.amount
        if one.posted_at is not None:
            row[2] += 1
            row[3] += one.amount
        row[4] += one.reversed
    return [
        {"legal_entity": entity, "company_code": LEGAL_ENTITIES[entity].company_code, "currency": currency,
         "booked": row[0], "booked_amount": f"{row[1]:f}", "posted": row[2], "posted_amount": f"{row[3]:f}",
         "reversed": row[4]}
        for (entity, currency), row in sorted(rows.items())
    ]  # fmt: skip
