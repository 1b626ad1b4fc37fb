"""Modern Treasury's records in canonical words. Pure: bytes and the page's own headers in, frames out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from sync.canonical.contracts import BankAccount, BankTransaction, ForecastItem, OutgoingPayment, Payment
from sync.errors import DataError
from sync.ports import GONE_SCHEMA, Mapped, Page, no_rejects
from sync.systems.modern_treasury.balances import map_balances, refused_balances
from sync.systems.modern_treasury.envelope import STAMPS, entities_of, finish, known_direction, money_rules, stamp_rules, stamped
from sync.systems.modern_treasury.payments import map_incoming, map_orders
from sync.systems.modern_treasury.settings import ACCOUNT_NAMES, Settings
from sync.systems.modern_treasury.wire import (
    ASKED_HEADER,
    GONE_HEADER,
    REFERENCE_FIELD,
    REFUSED_HEADER,
    amounts_differ,
    major_units,
    records,
)
from sync.wire_frames import (
    ORDINAL,
    Rows,
    Rule,
    Subject,
    blank_to_null,
    drifted,
    iso_currency,
    readable,
    required,
    text_frame,
    to_amount,
    to_date,
    to_utc,
)

CONFIDENCE = {"unreconciled": "estimated", "partially_reconciled": "estimated", "reconciled": "actual", "archived": "estimated"}
BAI2_RETURNS = ("255", "257", "258", "555", "557", "558")
"""BAI2 codes of what the bank took back: returned checks, deposits and ACH items, and their reversals."""
ISO_RETURNS = "(RRTN|PRDD|UPDD)$"

_ACCOUNT = {
    "id": "id", **STAMPS, "currency_said": "currency", "status": "status", "named": "name", "party_name": "party_name",
    "bank_name": "connection.vendor_name", "external_id": "external_id", "legal_entity_id": "legal_entity_id",
    "counterparty_id": "counterparty_id",
}  # fmt: skip
_TRANSACTION = {
    "id": "id", **STAMPS, "discarded": "discarded_at", "minor": "amount", "minor_text": "amount_string", "currency_said": "currency",
    "direction": "direction", "account_id": "internal_account_id", "day": "as_of_date", "posted": "posted", "vendor_id": "vendor_id",
    "vendor_code": "vendor_code", "code_type": "vendor_code_type", "description": "vendor_description", "party": "details.originator_name",
    "end_to_end": "details.end_to_end_id", "customer_id": "vendor_customer_id",
}  # fmt: skip
_EXPECTED = {
    "id": "id", **STAMPS, "lower": "amount_lower_bound", "upper": "amount_upper_bound", "reconciled": "amount_reconciled",
    "unreconciled": "amount_unreconciled", "currency_said": "currency", "direction": "direction", "account_id": "internal_account_id",
    "from_day": "date_lower_bound", "until_day": "date_upper_bound", "status": "status", "type": "type", "external_id": "external_id",
    "ours": f"metadata.{REFERENCE_FIELD}",
}  # fmt: skip


def map_page(stream: str, page: Page, settings: Settings) -> Mapped:
    """A page of a stream. Raises DataError when it is none."""
    if GONE_HEADER in page.headers:
        return _gone(stream, page)
    if REFUSED_HEADER in page.headers:
        return refused_balances(page)
    rows = records(page.body)
    if stream == "balances":
        return map_balances(rows, entities_of(page), settings)
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
        *drifted(rows, ("id", "currency", "status"), ("id", "currency", "updated_at", "account_details")),
        *_details_drift(rows),
        *stamp_rules(),
        iso_currency("currency", "currency"),
    ]
    return finish(rows, stamped(frame, settings), rules, Subject(BankAccount.entity, "id", currency="currency"), _ACCOUNT,
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
            discarded_on=to_utc("discarded"),
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
    rules = [
        *drifted(rows, ("id", "amount", "currency", "direction", "internal_account_id", "posted"), ("id", "direction", "internal_account_id", "posted")),
        *stamp_rules(), required("account", "internal_account_id"), *money_rules(said="exact"),
        Rule("bad_amount", "amount_string", amounts_differ(), "amount and amount_string differ"),
        readable("day", "booking_date", "bad_date", "as_of_date"), readable("discarded", "discarded_on", "bad_time", "discarded_at"),
        known_direction(), _readable_flag("posted"),
    ]  # fmt: skip
    own = ("account", "entry_reference", "booking_date", "value_date", "amount", "currency", "counterparty_name", "remittance",
           "end_to_end_id", "bank_code", "is_reversal")  # fmt: skip
    return finish(
        rows,
        stamped(frame, settings, page),
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
        *stamp_rules(), required("created", "created_at"), readable("created", "made_at", "bad_time", "created_at"),
        required("day", "date_upper_bound"), readable("day", "expected_date", "bad_date", "date_upper_bound"),
        *money_rules("amount_lower_bound"), required("direction"), known_direction(),
        required("status"), readable("status", "confidence", "bad_value"),
    ]  # fmt: skip
    own = ("made_at", "expected_date", "amount", "currency", "account", "category", "confidence", "reference")
    return finish(
        rows, stamped(frame, settings, page), rules, Subject(ForecastItem.entity, "id", None, "amount", "currency"), _EXPECTED, own=own
    )


_MAPS: dict[str, Callable[[Rows, Page, Settings], Mapped]] = {
    "accounts": _accounts, "transactions": _transactions, "expected_payments": _expected, "payment_orders": map_orders,
    "incoming_payments": map_incoming,
}  # fmt: skip
ENTITY_OF = {
    "accounts": BankAccount.entity, "transactions": BankTransaction.entity, "expected_payments": ForecastItem.entity,
    "payment_orders": OutgoingPayment.entity, "incoming_payments": Payment.entity,
}  # fmt: skip


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


def _details_drift(rows: Rows) -> list[Rule]:
    """Accounts whose numbers don't stand where they should: landing without them, no statement would find its account again."""
    odd = [ordinal for ordinal, row in zip(rows.ordinals, rows.sound, strict=True) if not _are_details(row.get("account_details", []))]
    words = "account_details is no list of objects with texts"
    return [Rule("schema_drift", "account_details", pl.col(ORDINAL).is_in(odd), words)] if odd else []


def _are_details(told: Any) -> bool:
    texts = ("account_number", "account_number_safe", "account_number_type", "discarded_at")
    return isinstance(told, list) and all(
        isinstance(each, dict) and all(isinstance(each.get(name), str | None) for name in texts) for each in told
    )


def _number(detail: Mapping[str, Any]) -> str | None:
    whole, safe = detail.get("account_number"), detail.get("account_number_safe")
    if isinstance(whole, str) and whole.strip():
        return whole.replace(" ", "").upper()
    return f"...{safe}" if isinstance(safe, str) and safe and detail.get("account_number_type") != "iban" else None


def _ours(name: pl.Expr, named: Mapping[str, str]) -> pl.Expr:
    return name.replace_strict(named, default=None, return_dtype=pl.String) if named else pl.lit(None, pl.String)


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
