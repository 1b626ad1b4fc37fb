"""Exposure against an oracle that reads the facts one at a time and shares no code with the query."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from db.engine import reading, writing
from metrics import reads, refresh
from sync import process_facts
from tests.postgres.metrics_facts import Facts

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TODAY = NOW.date()
USD = Decimal("1.25")
_Row = dict[str, Any]


def _world(facts: Facts, dice: random.Random) -> dict[str, list[_Row]]:
    """Eight customers with random orders, deliveries, invoices, payments, contracts and limits."""
    rows: dict[str, list[_Row]] = {
        "sales_order": [],
        "delivery": [],
        "invoice": [],
        "contract": [],
        "credit_limit": [],
        "payment_application": [],
    }

    def put(entity: str, key: str, **row: Any) -> None:
        rows[entity].append({"key": key, **row})
        facts.put(entity, key, **row)

    for number in range(8):
        facts.customer(f"C{number}", party=number + 1)
    for number in range(30):
        customer, currency = f"C{dice.randrange(8)}", dice.choice(["EUR", "USD"])
        net = Decimal(dice.randrange(100, 2000))
        put("sales_order", f"O{number}", number=f"N{number}", customer_key=customer, currency=currency, net_value=net,
            contract_number=dice.choice([None, f"K{dice.randrange(9)}"]), status=dice.choice(["open", "open", "in_process", "cancelled", "complete"]),
            credit_status=dice.choice(["ok", "released", "blocked"]), delivery_status=dice.choice(["open", "partial", "complete"]),
            billing_status=dice.choice(["open", "partial", "complete"]))  # fmt: skip
        if dice.random() < 0.5:
            put("delivery", f"D{number}", number=f"D{number}", order_key=f"O{number}", customer_key=customer, currency=currency,
                value=net / 2, is_invoiced=dice.random() < 0.5)  # fmt: skip
        if dice.random() < 0.6:
            issued = date(2026, 1, 1) + timedelta(days=dice.randrange(50))
            gross = Decimal(dice.randrange(50, 2500))
            put("invoice", f"I{number}", number=f"I{number}", customer_key=customer, order_number=dice.choice([None, f"N{number}"]),
                currency=currency, gross=gross, tax=Decimal(10), issue_date=issued, due_date=issued + timedelta(days=20),
                status=dice.choice(["posted", "posted", "draft", "cancelled"]), is_credit=dice.random() < 0.15)  # fmt: skip
            if dice.random() < 0.5:
                put("payment_application", f"A{number}", invoice_key=f"I{number}", customer_key=customer, currency=currency,
                    amount=min(gross, Decimal(dice.randrange(1, 900))), clearing_date=issued, is_reversed=dice.random() < 0.2)  # fmt: skip
    for number in range(16):  # some for orders that are known, by key or by number, some for none
        put("delivery", f"S{number}", number=f"S{number}", order_key=dice.choice([None, f"O{dice.randrange(60)}", f"N{dice.randrange(60)}"]),
            customer_key=f"C{dice.randrange(8)}", currency=dice.choice(["EUR", "USD"]), is_invoiced=dice.random() < 0.3,
            value=dice.choice([None, Decimal(dice.randrange(5, 800))]), goods_issued_on=dice.choice([None, TODAY, TODAY]))  # fmt: skip
    for number in range(9):
        put("contract", f"k{number}", number=f"K{number}", customer_key=f"C{dice.randrange(8)}", value=Decimal(dice.randrange(5000)), currency="EUR",
            status=dice.choice(["activated", "draft"]))  # fmt: skip
    for number in range(10):
        put("credit_limit", f"L{number}", customer_key=f"C{dice.randrange(8)}", limit_amount=dice.choice([None, Decimal(0), Decimal(1500), Decimal(4000)]),
            currency="USD", valid_to=dice.choice([None, date(2026, 1, 1), date(2027, 1, 1)]), is_blocked=dice.random() < 0.15,
            secured_amount=dice.choice([None, Decimal(100)]))  # fmt: skip
    return rows


def _eur(amount: Decimal, currency: str) -> Decimal:
    return amount if currency == "EUR" else amount / USD


def _oracle(customer: str, rows: dict[str, list[_Row]]) -> dict[str, Any]:
    mine = {entity: [row for row in found if row["customer_key"] == customer] for entity, found in rows.items()}
    orders = deliveries = receivables = overdue = drafts = Decimal(0)
    for order in mine["sales_order"]:
        if order["status"] in ("cancelled", "complete") or order["billing_status"] == "complete" or order["credit_status"] == "blocked":
            continue
        billed = sum(i["gross"] - i["tax"] for i in mine["invoice"]
                     if i["order_number"] == order["number"] and i["status"] != "cancelled" and not i["is_credit"])  # fmt: skip
        rest = max(order["net_value"] - billed, Decimal(0))
        on_the_way = [
            d["value"] for d in rows["delivery"] if d["order_key"] == order["key"] and not d["is_invoiced"] and d["value"] is not None
        ]
        if on_the_way:
            delivered = min(rest, sum(on_the_way, Decimal(0)))
        else:
            delivered = rest if order["delivery_status"] == "complete" else Decimal(0)
        orders += _eur(rest - delivered, order["currency"])
        deliveries += _eur(delivered, order["currency"])
    deliveries += _stray(customer, rows)
    for invoice in mine["invoice"]:
        if invoice["status"] == "draft" and not invoice["is_credit"]:
            drafts += _eur(invoice["gross"], invoice["currency"])
        if invoice["status"] != "posted":
            continue
        paid = sum(a["amount"] for a in rows["payment_application"] if a["invoice_key"] == invoice["key"] and not a["is_reversed"])
        owed = invoice["gross"] - paid
        if invoice["is_credit"]:
            owed = -owed
        receivables += _eur(owed, invoice["currency"])
        if owed > 0 and not invoice["is_credit"] and invoice["due_date"] < TODAY:
            overdue += _eur(owed, invoice["currency"])
    return {"open_orders": orders, "open_deliveries": deliveries, "unposted_billing": drafts, "open_receivables": receivables,
            "overdue": overdue, "undelivered_contracts": _promised(customer, rows), **_limit(mine["credit_limit"])}  # fmt: skip


def _stray(customer: str, rows: dict[str, list[_Row]]) -> Decimal:
    """Goods that have left for orders that nobody told us of."""
    known = {order["key"] for order in rows["sales_order"]} | {order["number"] for order in rows["sales_order"]}
    total = Decimal(0)
    for delivery in rows["delivery"]:
        if delivery["customer_key"] != customer or delivery["order_key"] in known or delivery["is_invoiced"]:
            continue
        if delivery.get("goods_issued_on") and delivery["value"] is not None:
            total += _eur(delivery["value"], delivery["currency"])
    return total


def _promised(customer: str, rows: dict[str, list[_Row]]) -> Decimal:
    total = Decimal(0)
    for contract in rows["contract"]:
        if contract["customer_key"] == customer and contract["status"] == "activated":
            drawn = sum(o["net_value"] for o in rows["sales_order"]
                        if o["contract_number"] == contract["number"] and o["status"] != "cancelled" and o["credit_status"] != "blocked")  # fmt: skip
            total += max(contract["value"] - drawn, Decimal(0))
    return total


def _limit(limits: list[_Row]) -> dict[str, Any]:
    states = []
    for limit in limits:
        if limit["is_blocked"]:
            states.append("blocked")
        elif limit["limit_amount"] is None:
            states.append("none")
        elif limit["limit_amount"] == 0:
            states.append("zero")
        else:
            states.append("expired" if limit["valid_to"] and limit["valid_to"] < TODAY else "valid")
    state = next((one for one in ("blocked", "valid", "expired", "zero") if one in states), "none")
    valid = [one["limit_amount"] for one, found in zip(limits, states, strict=True) if found == "valid"]
    return {
        "limit_state": state,
        "credit_limit": _eur(min(valid), "USD") if state == "valid" else None,
        "secured": _eur(max((one["secured_amount"] or Decimal(0) for one in limits), default=Decimal(0)), "USD"),
    }


def test_exposure_matches_a_one_at_a_time_oracle(engine: sa.Engine) -> None:
    """Every component of every party's exposure, its limit and the state of its limit, over three random worlds."""
    for seed in range(3):
        with writing(engine) as conn:
            for table in ("customer", "sales_order", "delivery", "invoice", "payment_application", "contract", "credit_limit"):
                conn.execute(sa.text(f"delete from canonical.{table}"))
            for table in ("party", "identity_link", "fx_rate"):
                conn.execute(sa.text(f"delete from canonical.{table}"))
            facts = Facts(conn)
            facts.rate("USD", date(2026, 1, 1), str(USD))
            rows = _world(facts, random.Random(seed))
        refresh.rebuild(engine, now=NOW, reporting_currency="EUR")
        with reading(engine) as conn:
            found = {row["number"]: row for row in reads.exposures(conn, reporting_currency="EUR").iter_rows(named=True)}
            past = reads.exposures(conn, reporting_currency="EUR", known_at=NOW).sort("party_id")
        assert past.rows() == reads_sorted(found)
        assert len(found) == 8
        for customer, row in found.items():
            expected = _oracle(customer, rows)
            assert {name: row[name] for name in expected} == expected, (seed, customer)
            parts = row["open_orders"] + row["open_deliveries"] + row["unposted_billing"] + row["open_receivables"]
            assert row["exposure"] == parts - row["secured"]
        strays = {customer: _stray(customer, rows) for customer in found}
        assert any(strays.values())
        assert seen_by_the_rule(engine, found) == strays


def seen_by_the_rule(engine: sa.Engine, found: dict[str, _Row]) -> dict[str, Decimal]:
    """What the credit rule is told of goods on their way that no known order stands for, in EUR."""
    with reading(engine) as conn:
        parties = process_facts.parties(conn, [row["party_id"] for row in found.values()], today=TODAY, erps=["erp"])
    return {
        number: sum(
            (_eur(told.amount, told.currency) for told in parties[row["party_id"]].sums if told.kind == "open_deliveries"), Decimal(0)
        )
        for number, row in found.items()
    }


def reads_sorted(found: dict[str, _Row]) -> list[tuple[Any, ...]]:
    """The rows of the read model by party."""
    return [tuple(row.values()) for row in sorted(found.values(), key=lambda row: int(row["party_id"]))]
