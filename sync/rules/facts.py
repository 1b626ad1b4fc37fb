"""What the rules decide from, and what they hand back. Everything here can be stored as JSON and read back unchanged.

A decision keeps its facts, so that the same facts given to later code show whether the code still decides alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Literal, TypeVar

import msgspec

CENT = Decimal("0.0001")
ZERO = Decimal(0)


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all facts: immutable, comparable, storable."""


class Terms(Fact, frozen=True, kw_only=True):
    """The policy in force. Shares are of the limit or of the receivables; `max_input_age_minutes` bounds how old facts may be."""

    max_utilisation: Decimal
    max_overdue_share: Decimal
    max_median_days_late: int
    expected_cash_days: int
    max_input_age_minutes: int
    default_terms_days: int = 30


class Rates(Fact, frozen=True, kw_only=True):
    """Units of each currency per euro, of `on` or the last day before it, and the currency that sums are kept in."""

    reporting: str
    on: date | None = None
    units_per_eur: dict[str, Decimal] = {}

    def convert(self, amount: Decimal, currency: str, target: str | None = None) -> Decimal | None:
        """`amount` in `target` (default the reporting currency), to four decimals; None when a rate is missing."""
        wanted = target or self.reporting
        if currency == wanted or amount == 0:
            return amount
        source, sink = self._units(currency), self._units(wanted)
        if source is None or sink is None:
            return None
        return (amount * sink / source).quantize(CENT, rounding=ROUND_HALF_EVEN)

    def _units(self, currency: str) -> Decimal | None:
        return Decimal(1) if currency == "EUR" else self.units_per_eur.get(currency)


class Order(Fact, frozen=True, kw_only=True):
    """A sales order of an ERP. `episode` counts how often it was blocked; `version` is the source's."""

    source: str
    key: str
    number: str
    customer_key: str
    region: str
    version: int
    episode: int
    contract_number: str | None = None
    net_value: Decimal | None = None
    currency: str | None = None
    requested_delivery: date | None = None
    credit_status: str | None = None
    delivery_block: str | None = None
    status: str | None = None
    etag: str | None = None
    legal_entity: str | None = None
    is_deleted: bool = False
    blocked_by: str | None = None
    """The person at whose word it was blocked again, where nobody has approved its release since."""

    @property
    def is_credit_blocked(self) -> bool:
        """Whether it waits for a credit decision. Orders held for other reasons are none of ours."""
        return not self.is_deleted and self.credit_status == "blocked" and self.status != "cancelled"


class SalesContract(Fact, frozen=True, kw_only=True):
    """A contract of the CRM."""

    source: str
    key: str
    number: str
    status: str
    region: str
    value: Decimal | None = None
    currency: str | None = None
    customer_key: str | None = None
    legal_entity: str | None = None


class Limit(Fact, frozen=True, kw_only=True):
    """A credit limit of one segment."""

    amount: Decimal | None = None
    currency: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    secured: Decimal | None = None
    is_blocked: bool = False
    segment: str | None = None


class Sum(Fact, frozen=True, kw_only=True):
    """A sum of one kind in one currency: open_orders | open_deliveries | open_receivables | overdue | reserved.

    `subject`: the key of the order that a reservation is for.
    """

    kind: str
    currency: str
    amount: Decimal
    subject: str | None = None


class Party(Fact, frozen=True, kw_only=True):
    """A customer across systems: its blocks and limits, what it owes, and how it pays.

    `reserved` sums are releases that were decided and that the ERP does not show yet. `complete_until`: every fact that the
    ERP changed before this moment is here.
    """

    id: int
    name: str
    region: str
    number: str | None = None
    blocks: tuple[str, ...] = ()
    terms_days: int | None = None
    limits: tuple[Limit, ...] = ()
    sums: tuple[Sum, ...] = ()
    median_days_late: int | None = None
    cleared_invoices: int = 0
    oldest_days_overdue: int = 0
    complete_until: datetime | None = None


class Reason(Fact, frozen=True, kw_only=True):
    """Why: a code for machines and filters, words with the numbers for people."""

    code: str
    words: str

    def __str__(self) -> str:
        return f"{self.code}: {self.words}"


CommandKind = Literal["release_order", "publish_forecast", "update_collections", "block_order", "approve_order", "reject_order"]


class Effect(Fact, frozen=True, kw_only=True):
    """A write that a decision asks for. `subject` names what it is about, `version` tells successive writes on it apart."""

    kind: CommandKind
    object_key: str
    subject: str
    version: str
    payload: dict[str, Any]
    source: str | None = None


class Decision(Fact, frozen=True, kw_only=True):
    """What a rule decided, and everything it looked at (`inputs`: the facts as JSON)."""

    rule: str
    version: str
    subject_kind: str
    subject_source: str
    subject_key: str
    region: str
    outcome: str
    inputs: dict[str, Any]
    reasons: tuple[Reason, ...] = ()
    effects: tuple[Effect, ...] = ()
    party_id: int | None = None
    legal_entity: str | None = None
    amount: Decimal | None = None
    currency: str | None = None


F = TypeVar("F", bound=Fact)


def to_inputs(facts: Fact) -> dict[str, Any]:
    """The facts as a JSON document: amounts as text, moments in ISO 8601."""
    document: dict[str, Any] = msgspec.to_builtins(facts, str_keys=True)
    return document


def from_inputs(document: Mapping[str, Any], kind: type[F]) -> F:
    """The facts that a stored decision saw. Raises msgspec.ValidationError when they no longer fit."""
    return msgspec.convert(document, kind, strict=False)
