"""What happens in the ERP's world: a sale, its invoice, money that comes in, and what accountants do with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from tests.tryton.rpc import Refused, Rpc


def sell(rpc: Rpc, ids: Mapping[str, int], customer: str, currency: str, quantity: int, terms: str, at: date) -> int:
    """A confirmed sale of `quantity` services at 100 each, invoiced in draft."""
    sale = quote(rpc, ids, customer, currency, quantity, terms, at)
    for step in ("quote", "confirm", "process"):
        insist(rpc, f"sale.sale.{step}", [sale])
    return sale


def quote(rpc: Rpc, ids: Mapping[str, int], customer: str, currency: str, quantity: int, terms: str, at: date) -> int:
    """A sale that is a draft yet."""
    party = ids[customer]
    address = rpc.find("party.address", [["party", "=", party]])
    line = {"type": "line", "product": ids["product"], "quantity": quantity, "unit": ids["unit"], "unit_price": Decimal(100)}
    return rpc.create(
        "sale.sale", party=party, invoice_address=address, shipment_address=address, currency=ids[currency], sale_date=at,
        payment_term=ids[terms], reference=f"PO-{quantity}", lines=[["create", [line]]],
    )  # fmt: skip


def bill(rpc: Rpc, sale: int, at: date) -> int:
    """The sale's invoice, posted on `at`."""
    invoice = int(rpc.model("sale.sale.read", [sale], ["invoices"])[0]["invoices"][0])
    rpc.model("account.invoice.write", [invoice], {"invoice_date": at})
    insist(rpc, "account.invoice.post", [invoice])
    return invoice


def insist(rpc: Rpc, method: str, ids: list[int]) -> Any:
    """Calls, and says yes to each warning as a person does."""
    for _ in range(6):
        try:
            return rpc.model(method, ids)
        except Refused as refused:
            kind, *rest = refused.args[0]
            if kind != "UserWarning":
                raise
            rpc.create("res.user.warning", user=rpc.user, name=rest[0][0], always=False)
    raise AssertionError(f"{method} asks without end")


def receive(
    rpc: Rpc, ids: Mapping[str, int], customer: str, amount: Decimal, at: date, *, currency: str = "EUR", eur: Decimal | None = None
) -> int:
    """Money of a customer on the cash account, posted; the id of its line on the receivable account. `eur`: its worth where it is foreign."""
    worth = amount if eur is None else eur
    foreign = {} if currency == "EUR" else {"second_currency": ids[currency], "amount_second_currency": -amount}
    journal = rpc.find("account.journal", [["type", "=", "cash"]])
    period = rpc.find("account.period", [["start_date", "<=", at], ["end_date", ">=", at], ["type", "=", "standard"]])
    credit = {"account": ids["receivable"], "party": ids[customer], "debit": Decimal(0), "credit": worth, **foreign}
    debit = {"account": ids["cash"], "debit": worth, "credit": Decimal(0)}
    move = rpc.create(
        "account.move", journal=journal, period=period, date=at, description=f"Money of {customer}", lines=[["create", [credit, debit]]]
    )
    rpc.model("account.move.post", [move])
    return int(rpc.find("account.move.line", [["move", "=", move], ["account", "=", ids["receivable"]]]))


def reconcile(rpc: Rpc, ids: Mapping[str, int], lines: list[int], at: date) -> int:
    """The lines settle each other."""
    return rpc.create("account.move.reconciliation", company=ids["company"], date=at, lines=[["add", lines]])


def assign(rpc: Rpc, invoice: int, line: int) -> None:
    """The payment's line is said to pay a part of the invoice; nothing is reconciled."""
    rpc.model("account.invoice.write", [invoice], {"payment_lines": [["add", [line]]]})


def owed(rpc: Rpc, invoice: int) -> list[int]:
    """The invoice's own lines that are to be paid."""
    return list(rpc.model("account.invoice.read", [invoice], ["lines_to_pay"])[0]["lines_to_pay"])
