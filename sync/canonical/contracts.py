"""The shared vocabulary: one data contract per entity, versioned, owned, classified.

A contract names the entity's own columns (the envelope is common to all) with the types and rules that every row must keep. The
vectorised checks of `sync.canonical.checks` are generated from these models; the models themselves run only over rows that failed,
to say why in words.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", json_schema_extra={"iso4217": True})]
Money = Annotated[Decimal, Field(max_digits=19, decimal_places=4, allow_inf_nan=False)]
Key = Annotated[str, Field(min_length=1)]
Criticality = Literal["critical", "important", "informative"]


class Contract(BaseModel):
    """What every canonical row carries beyond the entity's own columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity: ClassVar[str]
    version: ClassVar[int] = 1
    domain: ClassVar[str]
    """The owning domain: who answers for the entity's meaning and quality."""
    authority: ClassVar[str]
    criticality: ClassVar[Criticality] = "important"
    retention: ClassVar[str] = "10 years"
    money: ClassVar[tuple[str, str] | None] = None
    """(amount column, currency column) of the record's own worth: what is at risk when it does not pass."""
    editable: ClassVar[tuple[str, ...]] = ()
    """The columns a person may correct before a replay."""

    source_key: Key
    source_version: int
    legal_entity: str | None = None
    region: Key
    changed_at: AwareDatetime
    is_deleted: bool = False


class Customer(Contract):
    entity = "customer"
    domain = "finance operations"
    authority = "ERP: name, terms, blocks; CRM: owner, segment"
    criticality = "critical"
    number: str | None = None
    name: str | None = None
    parent_key: str | None = None
    country: str | None = None
    segment: str | None = None
    erp_number: str | None = None
    payment_terms_days: int | None = Field(default=None, ge=0, le=730)
    credit_segment: str | None = None
    order_block: bool = False
    delivery_block: bool = False
    billing_block: bool = False
    posting_block: bool = False
    owner: str | None = None


class CustomerMerge(Contract):
    """Two customers became one: what was known under `source_key` is known under `into_key` now, in the same source."""

    entity = "customer_merge"
    domain = "sales"
    authority = "CRM"
    into_key: Key


class Opportunity(Contract):
    entity = "opportunity"
    domain = "sales"
    authority = "CRM"
    criticality = "informative"
    money = ("amount", "currency")
    name: str | None = None
    customer_key: str | None = None
    stage: str | None = None
    amount: Money | None = None
    currency: Currency | None = None
    close_date: date | None = None
    probability: Decimal | None = Field(default=None, ge=0, le=100)
    is_closed: bool = False
    is_won: bool = False


class Quote(Contract):
    entity = "quote"
    domain = "sales"
    authority = "CRM"
    criticality = "informative"
    money = ("amount", "currency")
    number: str | None = None
    opportunity_key: str | None = None
    customer_key: str | None = None
    status: str | None = None
    expires_on: date | None = None
    amount: Money | None = None
    currency: Currency | None = None


class SalesContract(Contract):
    entity = "contract"
    domain = "sales"
    authority = "CRM"
    criticality = "critical"
    money = ("value", "currency")
    editable = ("customer_key", "value", "currency")
    number: Key
    customer_key: str | None = None
    opportunity_key: str | None = None
    value: Money | None = None
    currency: Currency | None = None
    start_date: date | None = None
    end_date: date | None = None
    status: Literal["draft", "in_approval", "activated", "cancelled", "expired"]
    approved_at: AwareDatetime | None = None


class SalesOrder(Contract):
    entity = "sales_order"
    domain = "order management"
    authority = "ERP"
    criticality = "critical"
    money = ("net_value", "currency")
    editable = ("customer_key", "currency", "contract_number")
    number: Key
    contract_number: str | None = None
    customer_key: Key
    net_value: Money | None = None
    currency: Currency | None = None
    order_date: date | None = None
    requested_delivery: date | None = None
    credit_status: Literal["not_checked", "ok", "blocked", "released"] | None = None
    delivery_block: str | None = None
    billing_block: str | None = None
    delivery_status: Literal["not_relevant", "open", "partial", "complete"] | None = None
    billing_status: Literal["not_relevant", "open", "partial", "complete"] | None = None
    status: Literal["open", "in_process", "complete", "cancelled"] | None = None
    etag: str | None = None
    released_at: AwareDatetime | None = None


class Delivery(Contract):
    entity = "delivery"
    domain = "logistics"
    authority = "ERP"
    money = ("value", "currency")
    number: Key
    order_key: str | None = None
    customer_key: str | None = None
    goods_issued_on: date | None = None
    value: Money | None = None
    currency: Currency | None = None
    is_invoiced: bool = False


class Invoice(Contract):
    entity = "invoice"
    domain = "accounts receivable"
    authority = "ERP"
    criticality = "critical"
    money = ("gross", "currency")
    editable = ("customer_key", "gross", "tax", "currency", "issue_date", "due_date", "order_number")
    number: Key
    order_number: str | None = None
    customer_key: Key
    country: str | None = None
    issue_date: date
    posting_date: date | None = None
    due_date: date | None = None
    gross: Money
    tax: Money | None = None
    currency: Currency
    source_open: Money | None = None
    status: Literal["draft", "posted", "cleared", "cancelled"]
    is_disputed: bool = False
    dispute_reason: str | None = None
    is_credit: bool = False
    cancelled_by: str | None = None
    accounting_document: str | None = None
    payment_reference: str | None = None


class Payment(Contract):
    entity = "payment"
    domain = "cash application"
    authority = "bank; ERP where it posts first"
    criticality = "critical"
    money = ("amount", "currency")
    editable = ("customer_key", "amount", "currency", "value_date", "reference")
    reference: str | None = None
    customer_key: str | None = None
    amount: Money
    currency: Currency
    value_date: date | None = None
    received_at: AwareDatetime | None = None
    bank_account: str | None = None
    status: Literal["pending", "settled", "failed", "returned"]
    reason: str | None = None
    end_to_end_id: str | None = None


class PaymentApplication(Contract):
    entity = "payment_application"
    domain = "cash application"
    authority = "ERP"
    criticality = "critical"
    money = ("amount", "currency")
    editable = ("invoice_key", "amount", "currency", "clearing_date")
    invoice_key: Key
    payment_key: str | None = None
    customer_key: str | None = None
    amount: Money
    currency: Currency
    clearing_date: date
    is_reversed: bool = False


class OutgoingPayment(Contract):
    entity = "outgoing_payment"
    domain = "accounts payable"
    authority = "ERP or treasury"
    money = ("amount", "currency")
    payee: str | None = None
    amount: Money
    currency: Currency
    due_date: date | None = None
    requester: str | None = None
    approvals: int | None = None
    status: Literal["requested", "approved", "rejected", "executed", "failed"]
    bank_account: str | None = None


class CreditLimit(Contract):
    entity = "credit_limit"
    domain = "credit management"
    authority = "ERP or treasury"
    criticality = "critical"
    money = ("limit_amount", "currency")
    editable = ("customer_key", "limit_amount", "currency", "valid_to")
    customer_key: Key
    segment: str | None = None
    limit_amount: Money | None = None
    currency: Currency | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    secured_amount: Money | None = None
    is_blocked: bool = False


class BankAccount(Contract):
    entity = "bank_account"
    domain = "treasury"
    authority = "treasury"
    iban: str | None = None
    other_id: str | None = None
    bank: str | None = None
    name: str | None = None
    currency: Currency | None = None


class BankBalance(Contract):
    entity = "bank_balance"
    domain = "treasury"
    authority = "bank; treasury where it reports first"
    criticality = "critical"
    money = ("amount", "currency")
    account: Key
    balance_type: Literal["opening_booked", "closing_booked", "available", "intraday", "forward_available"]
    as_of_date: date
    amount: Money
    currency: Currency


class BankTransaction(Contract):
    entity = "bank_transaction"
    domain = "treasury"
    authority = "bank"
    criticality = "critical"
    money = ("amount", "currency")
    editable = ("currency", "value_date", "remittance")
    account: Key
    statement_id: str | None = None
    entry_reference: str | None = None
    booking_date: date | None = None
    value_date: date | None = None
    amount: Money
    currency: Currency
    counterparty_name: str | None = None
    counterparty_account: str | None = None
    remittance: str | None = None
    end_to_end_id: str | None = None
    structured_reference: str | None = None
    bank_code: str | None = None
    is_reversal: bool = False
    return_reason: str | None = None


class ForecastItem(Contract):
    entity = "forecast_item"
    domain = "treasury"
    authority = "treasury and Tidegate"
    money = ("amount", "currency")
    run: str | None = None
    made_at: AwareDatetime
    expected_date: date
    amount: Money
    currency: Currency
    customer_key: str | None = None
    invoice_number: str | None = None
    account: str | None = None
    category: str | None = None
    confidence: Literal["estimated", "confirmed", "actual"]
    reference: str | None = None


class GlPosting(Contract):
    entity = "gl_posting"
    domain = "accounting"
    authority = "ERP"
    money = ("amount", "currency")
    document: Key
    line: Key
    account: Key
    amount: Money
    currency: Currency
    posting_date: date | None = None
    status: str


class FxRate(Contract):
    """Units of `currency` for one euro on `rate_date`. A day without a rate has no record: the last one before it holds.

    `is_suspect`: it moved further from the rate before it than a day explains; it counts all the same. `precedence`: of two sources'
    rates of one day the lower number is used.
    """

    entity = "fx_rate"
    domain = "treasury"
    authority = "ECB, or treasury where it goes first"
    criticality = "critical"
    rate_date: date
    currency: Currency
    units_per_eur: Decimal = Field(ge=Decimal("0.00000001"), max_digits=18, decimal_places=8, allow_inf_nan=False)
    is_suspect: bool = False
    precedence: int = Field(default=100, ge=0, le=10_000)


class CollectionStatus(Contract):
    entity = "collection_status"
    domain = "collections"
    authority = "Tidegate"
    money = ("amount_overdue", "currency")
    party_id: int | None = None
    customer_key: Key
    level: Literal["none", "reminder", "dunning", "final_notice", "legal"]
    promised_date: date | None = None
    amount_overdue: Money | None = None
    currency: Currency | None = None
    status: str


CONTRACTS: dict[str, type[Contract]] = {
    model.entity: model
    for model in (
        Customer, CustomerMerge, Opportunity, Quote, SalesContract, SalesOrder, Delivery, Invoice, Payment, PaymentApplication,
        OutgoingPayment, CreditLimit, BankAccount, BankBalance, BankTransaction, ForecastItem, GlPosting, FxRate, CollectionStatus,
    )
}  # fmt: skip
