"""The world's records: plain, mutable, picklable. Amounts are Decimal, moments are UTC, business dates are dates."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(slots=True)
class Customer:
    """A customer of one legal entity, as its ERP knows it, with the habits that drive its payments."""

    number: str
    name: str
    entity: str
    country: str
    currency: str
    terms: int
    limit: Decimal
    limit_currency: str
    typical: Decimal
    late_share: float
    days_late: float
    created_at: datetime
    changed_at: datetime
    credit_changed_at: datetime
    order_block: str = ""
    credit_blocked: bool = False
    version: int = 1


@dataclass(slots=True)
class Account:
    """A CRM account. `erp_number` is the external id and may be missing."""

    id: str
    name: str
    customer: str | None
    erp_number: str | None
    created_at: datetime
    changed_at: datetime
    owner: str = ""
    segment: str = ""
    country: str = ""
    currency: str = "EUR"
    collections_status: str | None = None
    collections_overdue: Decimal | None = None
    collections_currency: str | None = None
    collections_as_of: datetime | None = None
    collections_version: Decimal | None = None
    deleted: bool = False


@dataclass(slots=True)
class Opportunity:
    """A deal in the making."""

    id: str
    account: str
    customer: str
    entity: str
    name: str
    stage: str
    probability: int
    amount: Decimal
    currency: str
    close: date
    created_at: datetime
    changed_at: datetime
    deleted: bool = False


@dataclass(slots=True)
class Contract:
    """A CRM contract: Draft, InApproval or Activated."""

    id: str
    number: str
    account: str
    opportunity: str | None
    customer: str
    entity: str
    status: str
    value: Decimal
    currency: str
    start: date
    months: int
    created_at: datetime
    changed_at: datetime
    activated_at: datetime | None = None
    order: str | None = None
    beyond: bool = False
    deleted: bool = False


@dataclass(slots=True)
class Order:
    """A sales order in an ERP, and its mirror in the CRM (`crm_id`)."""

    number: str
    host: str
    entity: str
    customer: str
    contract: str | None
    reference: str
    net: Decimal
    currency: str
    text: str
    created_at: datetime
    changed_at: datetime
    requested: date
    block: str = ""
    credit_status: str = "A"
    delivery_status: str = "A"
    billing_status: str = "A"
    released_at: datetime | None = None
    delivered_at: datetime | None = None
    episode: int = 0
    crm_id: str = ""
    crm_changed_at: datetime | None = None


@dataclass(slots=True)
class Invoice:
    """A billing document and its accounting item. `kind`: F2 invoice, G2 credit note, S1 cancellation."""

    number: str
    host: str
    entity: str
    customer: str
    order: str
    kind: str
    net: Decimal
    tax: Decimal
    currency: str
    company_amount: Decimal
    issued: date
    due: date
    year: str
    document: str
    created_at: datetime
    changed_at: datetime
    item_changed: datetime
    paid: Decimal = ZERO
    disputed: bool = False
    dunning: int = 0
    cancelled: bool = False
    refers_to: str | None = None
    in_payment: bool = False
    cleared_on: date | None = None
    cleared_created: date | None = None
    clearing_document: str = ""
    clearing_year: str = ""
    clearing_reversed: bool = False
    paid_on: date | None = None
    paid_reference: str = ""
    version: int = 1

    @property
    def gross(self) -> Decimal:
        """Net and tax, positive whatever the kind."""
        return self.net + self.tax

    @property
    def sign(self) -> int:
        """+1 for what a customer owes, -1 for what lowers it."""
        return 1 if self.kind == "F2" else -1

    @property
    def open(self) -> Decimal:
        """What remains to be settled of it, signed; 0 when cancelled or a cancellation."""
        if self.cancelled or self.kind == "S1":
            return ZERO
        return (self.gross - self.paid) * self.sign


@dataclass(slots=True)
class Payment:
    """Money received: the bank's line first, the ERP's document later."""

    id: str
    entity: str
    customer: str
    account: str
    amount: Decimal
    currency: str
    value_date: date
    end_to_end: str
    structured: str
    remittance: str
    applications: list[tuple[str, Decimal]]
    created_at: datetime
    year: str = ""
    document: str = ""
    posted_at: datetime | None = None
    item_changed: datetime | None = None
    company_amount: Decimal = ZERO
    returned_at: datetime | None = None
    reversed: bool = False
    reverse_document: str = ""
    reverse_year: str = ""
    reversed_at: datetime | None = None


@dataclass(slots=True)
class BankLine:
    """One booked entry of a bank account; amounts signed."""

    account: str
    reference: str
    booked: date
    value_date: date
    amount: Decimal
    counterparty: str
    end_to_end: str
    structured: str
    remittance: str
    code: str
    payment: str | None = None
    return_reason: str | None = None


@dataclass(slots=True)
class CashFlow:
    """A treasury cash flow: ESTIMATED, CONFIRMED or ACTUAL; amount signed."""

    uuid: str
    reference: str
    account: str
    code: str
    amount: Decimal
    currency: str
    status: str
    transaction_date: date
    value_date: date
    created_at: datetime
    changed_at: datetime
    description: str = ""
    origin: str = "TREASURY"
    invoice: str | None = None
    deleted: bool = False


@dataclass(slots=True)
class ExpectedPayment:
    """A payment that somebody told the operating account's platform to expect; `fields` as they were sent."""

    id: str
    fields: dict[str, object]
    created_at: datetime
    changed_at: datetime
    idempotency_key: str = ""


@dataclass(slots=True)
class Write:
    """A write that another system executed here."""

    seq: int
    world_at: datetime
    system: str
    action: str
    what: str
    key: str
    before: dict[str, object]
    after: dict[str, object]
    effective: bool
    request_id: str
    duplicate_of: int | None = None


@dataclass(slots=True)
class DropFile:
    """A file that a system wants to leave in its drop folder."""

    system: str
    name: str
    body: bytes
    manifest: bytes | None = None
    about: dict[str, object] = field(default_factory=dict)
