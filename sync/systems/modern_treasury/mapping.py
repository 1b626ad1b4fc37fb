"""Modern Treasury's records in canonical words. Pure: bytes and the page's own headers in, frames out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from sync.canonical.contracts import BankAccount, BankTransaction, ForecastItem, OutgoingPayment, Payment
from sync.errors import DataError
from sync.ports import GONE_SCHEMA, Mapped, Page, no_rejects
from sync.systems.modern_treasury.balances import map_balances
from sync.systems.modern_treasury.settings import ACCOUNT_NAMES, Settings
from sync.systems.modern_treasury.wire import (
    ASKED_HEADER,
    ENTITIES_HEADER,
    GONE_HEADER,
    REFERENCE_FIELD,
    SAFE_INTEGER,
    major_units,
    records,
)
from sync.wire_frames import (
    ORDINAL,
    Rows,
    Rule,
    Subject,
    all_rejects,
    blank_to_null,
    broken_rejects,
    drifted,
    fields_seen,
    iso_currency,
    known_currency,
    readable,
    required,
    settle,
    text_frame,
    to_amount,
    to_date,
    to_utc,
)

ENVELOPE = ("source_key", "source_version", "legal_entity", "region", "changed_at", "is_deleted")
STATUS_OF_ORDER = {
    "needs_approval": "requested", "held": "requested", "approved": "approved", "pending": "approved", "processing": "approved",
    "sent": "executed", "completed": "executed", "denied": "rejected", "cancelled": "rejected", "stopped": "rejected",
    "failed": "failed", "returned": "failed", "reversed": "failed",
}  # fmt: skip
STATUS_OF_INCOMING = {"pending": "pending", "completed": "settled", "returned": "returned"}
CONFIDENCE = {"unreconciled": "estimated", "partially_reconciled": "estimated", "reconciled": "actual", "archived": "estimated"}
BAI2_RETURNS = ("255", "257", "258", "555", "557", "558")
"""BAI2 codes of what the bank took back: returned checks, deposits and ACH items, and their reversals."""
ISO_RETURNS = "(RRTN|PRDD|UPDD)$"

_STAMPS = {"created": "created_at", "updated": "updated_at"}
_ACCOUNT = {
    "id": "id", **_STAMPS, "currency_said": "currency", "status": "status", "named": "name", "party_name": "party_name",
    "bank_name": "connection.vendor_name", "external_id": "external_id", "legal_entity_id": "legal_entity_id",
    "counterparty_id": "counterparty_id",
}  # fmt: skip
_TRANSACTION = {
    "id": "id", **_STAMPS, "discarded": "discarded_at", "minor": "amount", "minor_text": "amount_string", "currency_said": "currency",
    "direction": "direction", "account_id": "internal_account_id", "day": "as_of_date", "posted": "posted", "vendor_id": "vendor_id",
    "vendor_code": "vendor_code", "code_type": "vendor_code_type", "description": "vendor_description", "party": "details.originator_name",
    "end_to_end": "details.end_to_end_id", "customer_id": "vendor_customer_id",
}  # fmt: skip
_EXPECTED = {
    "id": "id", **_STAMPS, "lower": "amount_lower_bound", "upper": "amount_upper_bound", "reconciled": "amount_reconciled",
    "unreconciled": "amount_unreconciled", "currency_said": "currency", "direction": "direction", "account_id": "internal_account_id",
    "from_day": "date_lower_bound", "until_day": "date_upper_bound", "status": "status", "type": "type", "external_id": "external_id",
    "ours": f"metadata.{REFERENCE_FIELD}",
}  # fmt: skip
_ORDER = {
    "id": "id", **_STAMPS, "minor": "amount", "currency_said": "currency", "direction": "direction", "account_id": "originating_account_id",
    "day": "effective_date", "status": "status", "party": "receiving_account.party_name", "party_alt": "ultimate_receiving_party_name",
    "account_name": "receiving_account.name", "counterparty": "counterparty_id",
}  # fmt: skip
_INCOMING = {
    "id": "id", **_STAMPS, "minor": "amount", "currency_said": "currency", "direction": "direction", "account_id": "internal_account_id",
    "day": "as_of_date", "status": "status", "party": "originating_party_name", "vendor_id": "vendor_id",
}  # fmt: skip


def map_page(stream: str, page: Page, settings: Settings) -> Mapped:
    """A page of a stream. Raises DataError when it is none."""
    if GONE_HEADER in page.headers:
        return _gone(stream, page)
    rows = records(page.body)
    if stream == "balances":
        return map_balances(rows, _entities(page), settings)
    return _MAPS[stream](rows, page, settings)


def _accounts(rows: Rows, _page: Page, settings: Settings) -> Mapped:
    """A closed account is a deleted one: nothing moves on it any more."""
    named = settings.legal_entity_by_account
    known = [_ours(pl.col({"name": "named"}.get(name, name)), named) for name in ACCOUNT_NAMES]
    frame = text_frame(rows, _ACCOUNT).with_columns(
        pl.Series("iban", _numbers(rows, iban=True), dtype=pl.String),
        pl.Series("other_id", _numbers(rows, iban=False), dtype=pl.String),
        currency=blank_to_null("currency_said"),
        bank=blank_to_null("bank_name"),
        name=pl.coalesce(blank_to_null("named"), blank_to_null("party_name")),
        legal_entity=pl.coalesce(*known, pl.lit(settings.legal_entity, pl.String)),
        is_deleted=(pl.col("status") == "closed").fill_null(value=False),
    )
    rules = [
        *drifted(rows, ("id", "currency", "status"), ("id", "currency", "updated_at")),
        *_stamp_rules(),
        iso_currency("currency", "currency"),
    ]
    return _finish(rows, _stamped(frame, settings), rules, Subject(BankAccount.entity, "id", currency="currency"), _ACCOUNT,
                   own=("iban", "other_id", "bank", "name", "currency"))  # fmt: skip


def _transactions(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """What is posted. A pending one has not moved money yet: it is not there, and not any more where it was posted before."""
    frame = (
        text_frame(rows, _TRANSACTION)
        .with_columns(
            # the text is exact at any size; the number is only so far as every language keeps integers
            exact=pl.coalesce(blank_to_null("minor_text"), "minor"),
            currency=blank_to_null("currency_said"),
            account=blank_to_null("account_id"),
            booking_date=to_date("day"),
            is_deleted=pl.col("discarded").is_not_null() | (pl.col("posted") == "false").fill_null(value=False),
            entry_reference=blank_to_null("vendor_id"),
            bank_code=blank_to_null("vendor_code"),
            remittance=blank_to_null("description"),
            counterparty_name=blank_to_null("party"),
            end_to_end_id=blank_to_null("end_to_end"),
            is_reversal=_returned(),
        )
        .with_columns(value_date="booking_date", amount_said=major_units("exact", "currency"))
    )
    frame = frame.with_columns(amount=_signed(to_amount("amount_said"), credit=1))
    known = pl.col("minor").cast(pl.Int128, strict=False).abs() <= SAFE_INTEGER
    differ = known & pl.col("minor_text").is_not_null() & (pl.col("minor_text").str.strip_chars() != pl.col("minor"))
    rules = [
        *drifted(rows, ("id", "amount", "currency", "direction", "internal_account_id", "posted"), ("id", "direction", "internal_account_id", "posted")),
        *_stamp_rules(), required("account", "internal_account_id"), *_money_rules(said="exact"),
        Rule("bad_amount", "amount_string", differ, "amount and amount_string differ"),
        readable("day", "booking_date", "bad_date", "as_of_date"), _known_direction(), _readable_flag("posted"),
    ]  # fmt: skip
    own = ("account", "entry_reference", "booking_date", "value_date", "amount", "currency", "counterparty_name", "remittance",
           "end_to_end_id", "bank_code", "is_reversal")  # fmt: skip
    return _finish(
        rows,
        _stamped(frame, settings, page),
        rules,
        Subject(BankTransaction.entity, "id", None, "amount", "currency"),
        _TRANSACTION,
        own=own,
    )


def _returned() -> pl.Expr:
    bai = (pl.col("code_type") == "bai2") & pl.col("vendor_code").is_in(BAI2_RETURNS)
    iso = (pl.col("code_type") == "iso20022") & pl.col("vendor_code").str.contains(ISO_RETURNS)
    return (bai | iso).fill_null(value=False)


def _expected(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """Money that is expected, signed. Of a range the careful end: money in the lower amount on the later day, money out the higher
    amount on the earlier day. What is partly reconciled is expected for the rest, what is reconciled happened; archived is withdrawn.
    """
    comes = pl.col("direction") == "credit"
    careful = pl.when(comes).then(pl.coalesce("lower", "upper")).otherwise(pl.coalesce("upper", "lower"))
    expected = (
        pl.when(pl.col("status") == "reconciled").then(pl.coalesce("reconciled", careful))
        .when(pl.col("status") == "partially_reconciled").then(pl.coalesce("unreconciled", careful)).otherwise(careful)
    )  # fmt: skip
    day = pl.when(comes).then(pl.coalesce("until_day", "from_day")).otherwise(pl.coalesce("from_day", "until_day"))
    frame = (
        text_frame(rows, _EXPECTED)
        .with_columns(
            minor=expected,
            day=day,
            currency=blank_to_null("currency_said"),
            account=blank_to_null("account_id"),
            category=blank_to_null("type"),
            reference=pl.coalesce(blank_to_null("ours"), blank_to_null("external_id")),
            confidence=pl.col("status").replace_strict(CONFIDENCE, default=None, return_dtype=pl.String),
            made_at=to_utc("created"),
            is_deleted=(pl.col("status") == "archived").fill_null(value=False),
        )
        .with_columns(expected_date=to_date("day"), amount_said=major_units("minor", "currency"))
    )
    frame = frame.with_columns(amount=_signed(to_amount("amount_said"), credit=1))
    rules = [
        *drifted(rows, ("id", "status", "direction", "amount_lower_bound", "amount_upper_bound"), ("id", "status", "direction")),
        *_stamp_rules(), required("created", "created_at"), readable("created", "made_at", "bad_time", "created_at"),
        required("day", "date_upper_bound"), readable("day", "expected_date", "bad_date", "date_upper_bound"),
        *_money_rules("amount_lower_bound"), required("direction"), _known_direction(),
        required("status"), readable("status", "confidence", "bad_value"),
    ]  # fmt: skip
    own = ("made_at", "expected_date", "amount", "currency", "account", "category", "confidence", "reference")
    return _finish(
        rows, _stamped(frame, settings, page), rules, Subject(ForecastItem.entity, "id", None, "amount", "currency"), _EXPECTED, own=own
    )


def _orders(rows: Rows, page: Page, settings: Settings) -> Mapped:
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
        *_stamp_rules(), *_money_rules(), _known_direction(),
        readable("day", "due_date", "bad_date", "effective_date"), required("status"), readable("status", "ours", "bad_value"),
    ]  # fmt: skip
    frame = _stamped(frame, settings, page)
    subject = Subject(OutgoingPayment.entity, "id", None, "amount", "currency")
    return _finish(rows, frame, rules, subject, _ORDER, own=("payee", "amount", "currency", "due_date", "bank_account"), status="ours")


def _incoming(rows: Rows, page: Page, settings: Settings) -> Mapped:
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
        *_stamp_rules(), *_money_rules(), _known_direction(),
        readable("day", "value_date", "bad_date", "as_of_date"), required("status"), readable("status", "ours", "bad_value"),
    ]  # fmt: skip
    own = ("reference", "amount", "currency", "value_date", "received_at", "bank_account", "reason")
    frame = _stamped(frame, settings, page)
    return _finish(rows, frame, rules, Subject(Payment.entity, "id", None, "amount", "currency"), _INCOMING, own=own, status="ours")


_MAPS: dict[str, Callable[[Rows, Page, Settings], Mapped]] = {
    "accounts": _accounts, "transactions": _transactions, "expected_payments": _expected, "payment_orders": _orders,
    "incoming_payments": _incoming,
}  # fmt: skip
ENTITY_OF = {
    "accounts": BankAccount.entity, "transactions": BankTransaction.entity, "expected_payments": ForecastItem.entity,
    "payment_orders": OutgoingPayment.entity, "incoming_payments": Payment.entity,
}  # fmt: skip


def _finish(
    rows: Rows,
    frame: pl.DataFrame,
    rules: list[Rule],
    subject: Subject,
    paths: Mapping[str, str],
    *,
    own: Iterable[str],
    status: str | None = None,
) -> Mapped:
    good, bad = settle(frame, rules, subject, paths)
    told = [pl.col(status).alias("status")] if status else []
    return Mapped(
        records=rows.total,
        frames={subject.entity: good.select(ORDINAL, *ENVELOPE, *own, *told)},
        rejects=all_rejects(broken_rejects(rows, subject.entity), bad),
        fields_seen=fields_seen(rows),
    )


def _stamped(frame: pl.DataFrame, settings: Settings, page: Page | None = None) -> pl.DataFrame:
    """The frame with its envelope. An account that is told to be left out brings no row: another connection reports it."""
    if page is not None:
        entities = _entities(page)
        frame = frame.filter(~pl.col("account").is_in(settings.leave_out_accounts).fill_null(value=False)).with_columns(
            legal_entity=pl.coalesce(
                pl.col("account").replace_strict(entities, default=None, return_dtype=pl.String), pl.lit(settings.legal_entity, pl.String)
            )
        )
    return frame.with_columns(
        source_key=blank_to_null("id"),
        changed_at=to_utc("updated"),
        region=pl.col("legal_entity").replace_strict(settings.region_by_entity, default=settings.region, return_dtype=pl.String),
    ).with_columns(source_version=pl.col("changed_at").dt.epoch("ms"))


def _stamp_rules() -> list[Rule]:
    return [required("id"), required("updated", "updated_at"), readable("updated", "changed_at", "bad_time", "updated_at")]


def _money_rules(field: str = "amount", said: str = "minor") -> list[Rule]:
    """An integer in the smallest unit, of a currency that ISO 4217 knows; the currency first, since it says what the integer means."""
    return [
        required("currency"), iso_currency("currency", "currency"), required(said, field), readable(said, "amount", "bad_amount", field),
        *known_currency("amount", "currency", "currency"),
    ]  # fmt: skip


def _known_direction() -> Rule:
    return Rule(
        "bad_value",
        "direction",
        ~pl.col("direction").is_in(["credit", "debit"]).fill_null(value=False),
        "direction is neither credit nor debit",
    )


def _readable_flag(field: str) -> Rule:
    return Rule("bad_value", field, ~pl.col(field).is_in(["true", "false"]).fill_null(value=False), f"{field} is neither true nor false")


def _signed(amount: pl.Expr, *, credit: int) -> pl.Expr:
    return pl.when(pl.col("direction") == "credit").then(amount * credit).otherwise(amount * -credit).cast(pl.Decimal(19, 4), strict=False)


def _numbers(rows: Rows, *, iban: bool) -> list[str | None]:
    """Of each account its IBAN, or another number of it; where only the last four digits are told, those after an ellipsis."""
    found: list[str | None] = []
    for row in rows.sound:
        told = row.get("account_details")
        details = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
        live = [each for each in details if not each.get("discarded_at") and (each.get("account_number_type") == "iban") is iban]
        found.append(next((_number(each) for each in live), None))
    return found


def _number(detail: Mapping[str, Any]) -> str | None:
    whole, safe = detail.get("account_number"), detail.get("account_number_safe")
    if isinstance(whole, str) and whole.strip():
        return whole.replace(" ", "").upper()
    return f"...{safe}" if isinstance(safe, str) and safe and detail.get("account_number_type") != "iban" else None


def _ours(name: pl.Expr, named: Mapping[str, str]) -> pl.Expr:
    return name.replace_strict(named, default=None, return_dtype=pl.String) if named else pl.lit(None, pl.String)


def _entities(page: Page) -> dict[str, str | None]:
    said: Any = json.loads(page.headers.get(ENTITIES_HEADER) or "{}")
    return {str(account): None if entity is None else str(entity) for account, entity in said.items()}


def _gone(stream: str, page: Page) -> Mapped:
    """A record that was named and is not there any more: its key and the moment at which it was asked for are all that is known."""
    said = page.headers.get(ASKED_HEADER)
    if not said or stream not in ENTITY_OF:
        raise DataError("the page does not say when it was asked for", cause="file_unreadable", evidence={"headers": sorted(page.headers)})
    asked = datetime.fromisoformat(said).astimezone(UTC)
    key = page.headers[GONE_HEADER]
    row = {
        "ordinal": 0,
        "entity": ENTITY_OF[stream],
        "source_key": key,
        "source_version": int(asked.timestamp() * 1000),
        "changed_at": asked,
    }
    return Mapped(records=1, frames={}, rejects=no_rejects(), gone=pl.DataFrame([row], schema=GONE_SCHEMA))
