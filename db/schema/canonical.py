"""The canonical facts: one current row per record of a source, and beside each table its superseded versions.

The columns answer to the data contracts in `sync.canonical`; a test holds the two equal.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from db.schema.base import amount, big, currency, day, flag, metadata, share, text, texts, when, whole


def _envelope() -> list[sa.Column[Any]]:
    """What every canonical row carries: where it came from, which version it is, and its three times."""
    return [
        text("source"),
        text("source_key"),
        big("source_version"),
        big("content_hash"),
        text("legal_entity", null=True),
        text("region"),
        when("changed_at"),
        when("recorded_at"),
        big("raw_record_id"),
        sa.Column("contract_version", sa.SmallInteger, nullable=False),
        flag("backfilled"),
        flag("is_deleted"),
    ]


ENVELOPE = tuple(column.name for column in _envelope())


def _entity(
    name: str, *columns: sa.Column[Any], indexes: tuple[tuple[str, ...], ...] = (), more: tuple[sa.Index, ...] = (), shared: bool = False
) -> sa.Table:
    """A current table and its history twin; the twin adds `superseded_at` and keeps every version. `shared`: its rows of region `*` are
    every region's, as reference rates are.
    """
    current = sa.Table(
        name,
        metadata,
        *_envelope(),
        *columns,
        sa.PrimaryKeyConstraint("source", "source_key"),
        *[sa.Index(f"ix_{name}_{'_'.join(index)}", *index) for index in indexes],
        *more,
        schema="canonical",
        info={"rls": True, "shared": shared},
    )
    sa.Table(
        f"{name}_history",
        metadata,
        *[sa.Column(c.name, c.type, nullable=c.nullable, server_default=c.server_default) for c in current.columns],
        when("superseded_at"),
        sa.Index(f"ix_{name}_history_key", "source", "source_key", "source_version"),
        schema="canonical",
        info={"rls": True, "shared": shared, "history_of": name},
    )
    return current


customer = _entity(
    "customer",
    text("number", null=True),
    text("name", null=True),
    text("parent_key", null=True),
    text("country", null=True),
    text("segment", null=True),
    text("erp_number", null=True),
    whole("payment_terms_days"),
    text("credit_segment", null=True),
    flag("order_block"),
    flag("delivery_block"),
    flag("billing_block"),
    flag("posting_block"),
    text("owner", null=True),
    indexes=(("number",),),
)

customer_merge = _entity("customer_merge", text("into_key"))

opportunity = _entity(
    "opportunity",
    text("name", null=True),
    text("customer_key", null=True),
    text("stage", null=True),
    amount("amount"),
    currency(),
    day("close_date"),
    share("probability"),
    flag("is_closed"),
    flag("is_won"),
)

quote = _entity(
    "quote",
    text("number", null=True),
    text("opportunity_key", null=True),
    text("customer_key", null=True),
    text("status", null=True),
    day("expires_on"),
    amount("amount"),
    currency(),
)

contract = _entity(
    "contract",
    text("number"),
    text("customer_key", null=True),
    text("opportunity_key", null=True),
    amount("value"),
    currency(),
    day("start_date"),
    day("end_date"),
    text("status"),
    when("approved_at", null=True),
    indexes=(("number",),),
)

sales_order = _entity(
    "sales_order",
    text("number"),
    text("contract_number", null=True),
    text("customer_key"),
    amount("net_value"),
    currency(),
    day("order_date"),
    day("requested_delivery"),
    text("credit_status", null=True),
    text("delivery_block", null=True),
    text("billing_block", null=True),
    text("delivery_status", null=True),
    text("billing_status", null=True),
    text("status", null=True),
    text("etag", null=True),
    when("released_at", null=True),
    indexes=(("number",), ("contract_number",), ("source", "customer_key")),
)

delivery = _entity(
    "delivery",
    text("number"),
    text("order_key", null=True),
    text("customer_key", null=True),
    day("goods_issued_on"),
    amount("value"),
    currency(),
    flag("is_invoiced"),
    indexes=(("order_key",),),
)

invoice = _entity(
    "invoice",
    text("number"),
    text("order_number", null=True),
    text("customer_key"),
    text("country", null=True),
    day("issue_date", null=False),
    day("posting_date"),
    day("due_date"),
    amount("gross", null=False),
    amount("tax"),
    currency(null=False),
    amount("source_open"),
    text("status"),
    flag("is_disputed"),
    text("dispute_reason", null=True),
    flag("is_credit"),
    text("cancelled_by", null=True),
    text("accounting_document", null=True),
    text("payment_reference", null=True),
    indexes=(("number",), ("order_number",), ("source", "customer_key"), ("payment_reference",)),
)

payment = _entity(
    "payment",
    text("reference", null=True),
    text("customer_key", null=True),
    amount("amount", null=False),
    currency(null=False),
    day("value_date"),
    when("received_at", null=True),
    text("bank_account", null=True),
    text("status"),
    text("reason", null=True),
    text("end_to_end_id", null=True),
    indexes=(("reference",), ("source", "customer_key")),
)

payment_application = _entity(
    "payment_application",
    text("invoice_key"),
    text("payment_key", null=True),
    text("customer_key", null=True),
    amount("amount", null=False),
    currency(null=False),
    day("clearing_date", null=False),
    flag("is_reversed"),
    indexes=(("source", "invoice_key"),),
)

outgoing_payment = _entity(
    "outgoing_payment",
    text("payee", null=True),
    amount("amount", null=False),
    currency(null=False),
    day("due_date"),
    text("requester", null=True),
    whole("approvals"),
    text("status"),
    text("bank_account", null=True),
)

credit_limit = _entity(
    "credit_limit",
    text("customer_key"),
    text("segment", null=True),
    amount("limit_amount"),
    currency(),
    day("valid_from"),
    day("valid_to"),
    amount("secured_amount"),
    flag("is_blocked"),
    indexes=(("source", "customer_key"),),
)

bank_account = _entity(
    "bank_account",
    text("iban", null=True),
    text("other_id", null=True),
    text("bank", null=True),
    text("name", null=True),
    currency(),
)

bank_balance = _entity(
    "bank_balance",
    text("account"),
    text("balance_type"),
    day("as_of_date", null=False),
    amount("amount", null=False),
    currency(null=False),
    indexes=(("account", "as_of_date"),),
)

bank_transaction = _entity(
    "bank_transaction",
    text("account"),
    text("statement_id", null=True),
    text("entry_reference", null=True),
    day("booking_date"),
    day("value_date"),
    amount("amount", null=False),
    currency(null=False),
    text("counterparty_name", null=True),
    text("counterparty_account", null=True),
    text("remittance", null=True),
    text("end_to_end_id", null=True),
    text("structured_reference", null=True),
    text("bank_code", null=True),
    flag("is_reversal"),
    text("return_reason", null=True),
    indexes=(("account", "booking_date"), ("structured_reference",)),
)

forecast_item = _entity(
    "forecast_item",
    text("run", null=True),
    when("made_at"),
    day("expected_date", null=False),
    amount("amount", null=False),
    currency(null=False),
    text("customer_key", null=True),
    text("invoice_number", null=True),
    text("account", null=True),
    text("category", null=True),
    text("confidence"),
    text("reference", null=True),
    indexes=(("run",), ("expected_date",), ("reference",)),
)

gl_posting = _entity(
    "gl_posting",
    text("document"),
    text("line"),
    text("account"),
    amount("amount", null=False),
    currency(null=False),
    day("posting_date"),
    text("status"),
)

fx_rate = _entity(
    "fx_rate",
    day("rate_date", null=False),
    currency(null=False),
    share("units_per_eur", null=False),
    flag("is_suspect"),
    whole("precedence", null=False, default=100),
    indexes=(("rate_date",),),
    more=(sa.Index("ix_fx_rate_in_use", "currency", sa.text("rate_date desc"), "precedence", "source"),),
    shared=True,
)

collection_status = _entity(
    "collection_status",
    big("party_id", null=True),
    text("customer_key"),
    text("level"),
    day("promised_date"),
    amount("amount_overdue"),
    currency(),
    text("status"),
)

party = sa.Table(
    "party",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=False), primary_key=True),
    text("name"),
    text("number", null=True),
    text("country", null=True),
    text("region"),
    big("parent_id", null=True),
    when("recorded_at"),
    sa.Index("ix_party_number", "number"),
    schema="canonical",
    info={"rls": True},
)

identity_link = sa.Table(
    "identity_link",
    metadata,
    text("source"),
    text("source_key"),
    big("party_id"),
    text("region"),
    text("matched_by"),
    share("confidence", null=False),
    text("confirmed_by", null=True),
    when("confirmed_at", null=True),
    texts("evidence"),
    when("recorded_at"),
    sa.PrimaryKeyConstraint("source", "source_key"),
    sa.Index("ix_identity_link_party_id", "party_id"),
    schema="canonical",
    info={"rls": True},
)

ENTITIES: dict[str, sa.Table] = {
    table.name: table
    for table in (
        customer, customer_merge, opportunity, quote, contract, sales_order, delivery, invoice, payment, payment_application,
        outgoing_payment, credit_limit, bank_account, bank_balance, bank_transaction, forecast_item, gl_posting,
        fx_rate, collection_status,
    )
}  # fmt: skip


def history_of(entity: str) -> sa.Table:
    """The table that keeps the superseded versions of `entity`."""
    return metadata.tables[f"canonical.{entity}_history"]
