"""Payment orders and incoming payments in canonical words. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from sync.canonical.contracts import OutgoingPayment, Payment
from sync.ports import Mapped, Page
from sync.systems.modern_treasury.envelope import STAMPS, finish, known_direction, money_rules, stamp_rules, stamped
from sync.systems.modern_treasury.settings import Settings
from sync.systems.modern_treasury.wire import major_units
from sync.wire_frames import Rows, Rule, Subject, blank_to_null, drifted, readable, required, text_frame, to_amount, to_date, to_utc

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
    "day": "as_of_date", "status": "status", "party": "originating_party_name",
}  # fmt: skip


def map_orders(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """Payment orders that send money: direction credit, by their words. One that collects (debit) is no outgoing payment and left out."""
    frame = _credits(rows, _ORDER, STATUS_OF_ORDER).with_columns(
        due_date="on_day",
        payee=pl.coalesce(blank_to_null("party_alt"), blank_to_null("party"), blank_to_null("account_name"), blank_to_null("counterparty")),
    )
    own = ("payee", "amount", "currency", "due_date", "bank_account")
    subject = Subject(OutgoingPayment.entity, "id", None, "amount", "currency")
    return finish(rows, stamped(frame, settings, page), _rules(rows, "effective_date"), subject, _ORDER, own=own, status="ours")


def map_incoming(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """Payments that somebody sent us (credit). One that somebody collects from us (debit) is left out."""
    frame = _credits(rows, _INCOMING, STATUS_OF_INCOMING).with_columns(
        value_date="on_day",
        reason=pl.when(pl.col("status") == "returned").then(pl.lit("returned")),
        received_at=to_utc("created"),
    )
    own = ("amount", "currency", "value_date", "received_at", "bank_account", "reason")
    subject = Subject(Payment.entity, "id", None, "amount", "currency")
    return finish(rows, stamped(frame, settings, page), _rules(rows, "as_of_date"), subject, _INCOMING, own=own, status="ours")


def _credits(rows: Rows, paths: Mapping[str, str], statuses: Mapping[str, str]) -> pl.DataFrame:
    """The records that are not debits, with amount, day, account and our word for their status (`ours`)."""
    frame = text_frame(rows, paths).with_columns(
        amount_said=major_units("minor", "currency_said"),
        currency=blank_to_null("currency_said"),
        on_day=to_date("day"),
        account="account_id",
        bank_account=blank_to_null("account_id"),
        ours=pl.col("status").replace_strict(statuses, default=None, return_dtype=pl.String),
        is_deleted=pl.lit(value=False),
    )
    return frame.with_columns(amount=to_amount("amount_said")).filter((pl.col("direction") != "debit").fill_null(value=True))


def _rules(rows: Rows, day: str) -> list[Rule]:
    return [
        *drifted(rows, ("id", "amount", "currency", "direction", "status"), ("id", "amount", "direction", "status")),
        *stamp_rules(), *money_rules(), known_direction(), readable("day", "on_day", "bad_date", day), required("status"),
        readable("status", "ours", "bad_value"),
    ]  # fmt: skip
