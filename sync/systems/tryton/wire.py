"""Which of Tryton's models are read, with which fields and under which condition, and what travels with a page. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync.systems.tryton.settings import Settings

FIELDS_HEADER = "x-tidegate-fields"
ASKED_HEADER = "x-tidegate-asked-at"
AMONG_HEADER = "x-tidegate-among"
"""What the answer itself does not say: the fields that were asked for; of a list of numbers when it was asked for, and among which."""

STAMPS = ("write_date", "create_date")
_LINE = ("debit", "credit", "amount_second_currency", "second_currency.code", "reconciliation", "write_date", "create_date")


@dataclass(frozen=True, slots=True)
class Reading:
    """One stream. `wanted`: fields without which nothing goes; `optional`: fields of modules that may not be installed, dots go into
    related records. `base`: the condition under which a record is ours. `beside`: stamps of other records whose change is a change of
    this one. `entities`: what a record feeds, each under the record's own key.
    """

    stream: str
    model: str
    entities: tuple[str, ...]
    wanted: tuple[str, ...]
    optional: tuple[str, ...] = ()
    base: tuple[Any, ...] = ()
    beside: tuple[str, ...] = ()

    def asked(self, known: Collection[str]) -> list[str]:
        """The fields to ask for, where the model has the fields `known`."""
        return [*self.wanted, *(name for name in self.optional if root(name) in known), *STAMPS]

    def missing(self, known: Collection[str]) -> list[str]:
        """The needed fields that the model does not have, or does not show to this user."""
        return sorted({root(name) for name in self.wanted} - set(known))

    def roots(self) -> list[str]:
        """The model's own fields with which any field begins that is asked for or searched by."""
        return list(dict.fromkeys(root(name) for name in (*self.wanted, *self.optional, *self.beside, *STAMPS)))

    def domain(self, since: datetime | None, after: int | None, known: Collection[str]) -> list[Any]:
        """Ours, changed after `since`, with a number above `after`. Changed means: written or made, it or what stands beside it."""
        clauses: list[Any] = [list(clause) if isinstance(clause, tuple) else clause for clause in self.base]
        if since is not None:
            stamps = [*STAMPS, *(path for path in self.beside if root(path) in known)]
            clauses.append(["OR", *([stamp, ">", since] for stamp in stamps)])
        if after is not None:
            clauses.append(["id", ">", after])
        return clauses


COLLECTION = "collection "


def key_of(entity: str, stream: str, number: int) -> str:
    """The canonical key of what record `number` of a stream feeds: money that we collect stands beside money in the ledger."""
    return f"{COLLECTION}{number}" if (entity, stream) == ("payment", "payments") else str(number)


def bounds_of(entity: str, stream: str) -> tuple[str | None, str | None]:
    """The keys of an entity that a stream may bring lie after the first and not after the second, where another stream brings others."""
    if entity != "payment":
        return None, None
    return (COLLECTION, f"{COLLECTION}:") if stream == "payments" else (None, ":")  # the colon follows the digits


def root(name: str) -> str:
    """The model's own field with which a dotted one begins."""
    return name.partition(".")[0]


def readings(settings: Settings) -> dict[str, Reading]:
    """Every stream by name, in the order in which they should be pulled first."""
    return {reading.stream: reading for reading in (_parties(settings), *_PLAIN, _receipts(settings))}


def _parties(settings: Settings) -> Reading:
    category: tuple[Any, ...] = (("categories.name", "=", settings.party_category),) if settings.party_category else ()
    return Reading(
        "parties", "party.party", ("customer", "credit_limit"),
        ("code", "name", "active"),
        ("replaced_by", "currency.code", "credit_limit_amount", "addresses.country.code"),
        (("active", "in", [True, False]), *category),
        ("credit_limit_amounts.write_date", "credit_limit_amounts.create_date"),
    )  # fmt: skip


def _receipts(settings: Settings) -> Reading:
    return Reading(
        "receipts", "account.move.line", ("payment",),
        ("credit", "date", "party"),
        ("move.number", "company.party.name", "company.currency.code", "amount_second_currency", "second_currency.code", "description",
         "move_description_used"),
        (("account.type.receivable", "=", True), ("move.state", "=", "posted"), ("credit", ">", 0),
         ("move.journal.type", "in", list(settings.receipt_journals))),
    )  # fmt: skip


_PLAIN = (
    Reading(
        "sales", "sale.sale", ("sales_order", "quote"),
        ("number", "state", "party", "currency.code", "untaxed_amount"),
        ("sale_date", "company.party.name", "invoice_state", "reference", "shipment_state", "shipping_date", "quotation_expire", "origin"),
    ),
    Reading(
        "invoices", "account.invoice", ("invoice", "payment_application"),
        ("number", "state", "party", "currency.code", "invoice_date", "total_amount", "amount_to_pay"),
        ("tax_amount", "company.party.name", "company.currency.code", "reconciled", "accounting_date", "move.number", "cancel_move.number",
         "customer_payment_reference", "invoice_address.country.code", "sales.number",
         *(f"lines_to_pay.{name}" for name in (*_LINE, "maturity_date")), "lines_to_pay.reconciliation.date",
         *(f"payment_lines.{name}" for name in (*_LINE, "date")),
         *(f"reconciliation_lines.{name}" for name in ("debit", "credit", "reconciliation"))),
        (("type", "=", "out"), ("state", "in", ["posted", "paid", "cancelled"]), ("number", "!=", None)),
        ("move.lines.write_date", "additional_moves.lines.write_date", "payment_lines.write_date", "payment_lines.create_date"),
    ),
    Reading(
        "payments", "account.payment", ("outgoing_payment", "payment"),
        ("number", "kind", "state", "party.name", "amount", "currency.code"),
        ("date", "company.party.name", "reference", "submitted_by.rec_name", "approved_by"),
        (("state", "!=", "draft"),),
    ),
    Reading(
        "opportunities", "sale.opportunity", ("opportunity",),
        ("number", "party", "state", "amount", "currency.code"),
        ("company.party.name", "description", "end_date", "conversion_probability"),
    ),
)  # fmt: skip


def newest(value: Any, stamp: Callable[[Any], datetime | None]) -> datetime | None:
    """The newest change stamp in these records and in what came with them, UTC; `stamp` reads one."""
    if isinstance(value, list):
        found = [newest(item, stamp) for item in value]
    elif isinstance(value, dict):
        found = [stamp(item) if name in STAMPS else newest(item, stamp) for name, item in value.items()]
    else:
        return None
    return max((at for at in found if at is not None), default=None)
