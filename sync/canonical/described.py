"""The canonical entities as a page of documentation: for who declares a source, which fields there are and what each may hold. Pure.

`python -m sync.canonical.described > docs/connections/entities.md` writes it; a test holds the page to the contracts.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sync.canonical.checks import base_type
from sync.canonical.contracts import CONTRACTS, Contract

_ENVELOPE = frozenset({"source_key", "source_version", "changed_at", "is_deleted", "region"})
_KINDS = {str: "text", Decimal: "amount", int: "integer", bool: "flag", date: "date", datetime: "time"}
_WORDS = {
    "customer": "Who buys. Its key is what `customer_key` says everywhere else in the same connection.",
    "customer_merge": "Two customers became one: the key is the one that is gone.",
    "opportunity": "What may be sold.",
    "quote": "What was offered.",
    "contract": "What was agreed; orders name its number.",
    "sales_order": "What was ordered, and whether credit holds it.",
    "delivery": "What left the house.",
    "invoice": "What a customer owes. `gross` with tax; a credit memo is negative and `is_credit`. `source_open` is what the system itself says is open.",
    "payment": "Money that came in. Where a bank or a treasury platform tells it too, declare it in one of the two only: it would count twice.",
    "payment_application": "What settles an invoice: so much of it, on that day. `payment_key` is a payment's key, where it is known.",
    "outgoing_payment": "Money that goes out, and how far its approval is.",
    "credit_limit": "What a customer may owe.",
    "bank_account": "An account of ours; its key is what `account` says elsewhere.",
    "bank_balance": "What stood on an account at the end of a day, or is there now.",
    "bank_transaction": "One entry of an account; money in is positive, money out negative.",
    "forecast_item": "Money that is expected, by day.",
    "gl_posting": "One line of a document in the general ledger.",
    "fx_rate": "Units of a currency for one euro.",
    "collection_status": "How far the collection of a customer's overdue amounts is.",
}
_HEAD = """# Entities and their fields

What a declared source ([rest.md](rest.md), [flat-files.md](flat-files.md)) may feed. Keys are texts of the source's own, unique within its connection. The
fields in **bold** are needed. An amount has up to four decimals and stands with its currency (ISO 4217, capitals); a date is a day, a time a moment.
`legal_entity` may be a field of each of them: the code of one of our companies; without it the connection's only one is taken. A country is two capitals
(ISO 3166). Where a connection's role is `erp`, the customer of an order or an invoice has to be known from it before: otherwise the record waits in
quarantine until it is, so declare the list of customers first.
"""


def described() -> str:
    """The page, in Markdown."""
    return "\n".join([_HEAD, *(_entity(model) for model in CONTRACTS.values())])


def _entity(model: type[Contract]) -> str:
    lines = [f"## {model.entity}", "", _WORDS[model.entity], "", "| field | holds |", "|---|---|"]
    for name, field in model.model_fields.items():
        if name in _ENVELOPE or name == "legal_entity":
            continue
        kind, _, allowed = base_type(model, name)
        shown = f"**`{name}`**" if field.is_required() else f"`{name}`"
        lines.append(f"| {shown} | {'one of ' + ', '.join(f'`{one}`' for one in allowed) if allowed else _KINDS[kind]} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(described(), end="")  # noqa: T201
