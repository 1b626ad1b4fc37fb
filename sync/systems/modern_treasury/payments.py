"""Payment orders and incoming payments in canonical words. Pure."""

from __future__ import annotations

import polars as pl

from sync.canonical.contracts import OutgoingPayment, Payment
from sync.ports import Mapped, Page
from sync.systems.modern_treasury.envelope import STAMPS, finish, known_direction, money_rules, stamp_rules, stamped
from sync.systems.modern_treasury.settings import Settings
from sync.systems.modern_treasury.wire import major_units
from sync.wire_frames import Rows, Subject, blank_to_null, drifted, readable, required, text_frame, to_amount, to_date, to_utc

STATUS_OF_ORDER = {
    "needs_approval": "requested", "held": "requested", "approved": "approved", "pending": "approved", "processing": "approved",
    "sent": "executed", "completed": "executed", "denied": "rejected", "cancelled": "rejected", "stopped": "rejected",
    "failed": "failed", "returned": "failed", "reversed": "failed",
}  # fmt: skip
STATUS_OF_INCOMING = {"pending": "pending", "completed": "settled", "returned": "returned"}
_ORDER = {
    "id": "id", **STAMPS, "minor": "amount", "currency_said": "currency", "direction": "direction", "account_id": "originating_account_id",
    "day": "effective_date", "status": "status", "party": "receiving_account.party_name", "party_alt": "ultimate_receiving_party_name",
    "account_name": "receiving_account.name", "counterparty": "counterparty_id",
}  # fmt: skip
_INCOMING = {
    "id": "id", **STAMPS, "minor": "amount", "currency_said": "currency", "direction": "direction", "account_id": "internal_account_id",
    "day": "as_of_date", "status": "status", "party": "originating_party_name", "vendor_id": "vendor_id",
}  # fmt: skip


def map_orders(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """Payment orders that send money: direction credit, by their words. One that collects (debit) is no outgoing payment and left out."""
    frame = (
        text_frame(rows, _ORDER)
        .with_columns(
            amount_said=major_units("minor", "currency_said"),
            currency=blank_to_null("currency_said"),
            due_date=to_date("day"),
            bank_account=blank_to_null("account_id"),
            payee=pl.coalesce(
                blank_to_null("party_alt"), blank_to_null("party"), blank_to_null("account_name"), blank_to_null("counterparty")
            ),
            ours=pl.col("status").replace_strict(STATUS_OF_ORDER, default=None, return_dtype=pl.String),
            is_deleted=pl.lit(value=False),
            account="account_id",
        )
        .with_columns(amount=to_amount("amount_said"))
    )
    frame = frame.filter((pl.col("direction") != "debit").fill_null(value=True))
    rules = [
        *drifted(rows, ("id", "amount", "currency", "direction", "status"), ("id", "amount", "direction", "status")),
        *stamp_rules(), *money_rules(), known_direction(),
        readable("day", "due_date", "bad_date", "effective_date"), required("status"), readable("status", "ours", "bad_value"),
    ]  # fmt: skip
    frame = stamped(frame, settings, page)
    subject = Subject(OutgoingPayment.entity, "id", None, "amount", "currency")
    return finish(rows, frame, rules, subject, _ORDER, own=("payee", "amount", "currency", "due_date", "bank_account"), status="ours")


def map_incoming(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """Payments that somebody sent us (credit). One that somebody collects from us (debit) is left out."""
    frame = (
        text_frame(rows, _INCOMING)
        .with_columns(
            amount_said=major_units("minor", "currency_said"),
            currency=blank_to_null("currency_said"),
            value_date=to_date("day"),
            bank_account=blank_to_null("account_id"),
            reference=blank_to_null("vendor_id"),
            reason=pl.when(pl.col("status") == "returned").then(pl.lit("returned")),
            ours=pl.col("status").replace_strict(STATUS_OF_INCOMING, default=None, return_dtype=pl.String),
            is_deleted=pl.lit(value=False),
            account="account_id",
            received_at=to_utc("created"),
        )
        .with_columns(amount=to_amount("amount_said"))
    )
    frame = frame.filter((pl.col("direction") != "debit").fill_null(value=True))
    rules = [
        *drifted(rows, ("id", "amount", "currency", "direction", "status"), ("id", "amount", "direction", "status")),
        *stamp_rules(), *money_rules(), known_direction(),
        readable("day", "value_date", "bad_date", "as_of_date"), required("status"), readable("status", "ours", "bad_value"),
    ]  # fmt: skip
    own = ("reference", "amount", "currency", "value_date", "received_at", "bank_account", "reason")
    frame = stamped(frame, settings, page)
    return finish(rows, frame, rules, Subject(Payment.entity, "id", None, "amount", "currency"), _INCOMING, own=own, status="ours")
