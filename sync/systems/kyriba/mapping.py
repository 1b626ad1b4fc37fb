"""Kyriba's accounts, balances and cash flows in canonical words. Pure: bytes and the page's own headers in, frames out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from sync.canonical.contracts import BankAccount, BankBalance, ForecastItem
from sync.errors import DataError
from sync.ports import Mapped, Page
from sync.systems.kyriba.settings import Settings
from sync.systems.kyriba.wire import ACCOUNTS_HEADER, ASKED_HEADER
from sync.wire_frames import (
    ORDINAL,
    Rows,
    Rule,
    Subject,
    all_rejects,
    blank_to_null,
    broken_rejects,
    decode,
    drifted,
    fields_seen,
    iso_currency,
    known_currency,
    readable,
    required,
    settle,
    split,
    text_frame,
    to_amount,
    to_date,
    to_utc,
)

CONFIDENCE = {"ESTIMATED": "estimated", "CONFIRMED": "confirmed", "ACTUAL": "actual"}
# Column -> where it stands in their record.
_ACCOUNT = {
    "code": "code", "description": "description", "iban": "ibanCode", "ban": "banCode", "statement_id": "statementIdentifier",
    "bank_code": "bank.code", "company": "company.code", "currency_code": "currency.code", "currency_text": "currency",
    "updateDate": "updateDate",
}  # fmt: skip
_BALANCE = {
    "code": "account.code", "day": "date", "amount_text": "amount", "amount_value": "amount.value", "currency_code": "currencyCode",
    "currency_nested": "currency.code",
}  # fmt: skip
_FLOW = {
    "uuid": "uuid", "reference": "reference", "status_code": "status", "account_code": "account.code", "flow_code": "flowCode.code",
    "value": "flowAmount.value", "amount_alt": "flowAmount.amount", "currency_code": "flowAmount.currency.code",
    "currency_text": "flowAmount.currency", "transaction_day": "date.transactionDate", "value_day": "date.valueDate",
    "updated": "date.updateDateTime", "created": "date.creationDateTime", "updated_top": "updateDateTime",
    "created_top": "creationDateTime",
}  # fmt: skip
_ENVELOPE = ("source_key", "source_version", "legal_entity", "region", "changed_at", "is_deleted")


def map_page(stream: str, page: Page, settings: Settings) -> Mapped:
    """A page of `accounts`, `balances` or `cash_flows`. Raises DataError when it is none."""
    if stream == "accounts":
        return _accounts(decode(split(page.body, "results").records), page, settings)
    if stream == "balances":
        return _balances(decode(split(page.body, "cashBalance").records), page, settings)
    return _flows(decode(split(page.body, "results").records), page, settings)


def _accounts(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """A snapshot: the version is their own stamp where they give one; without it all are equal and the later received wins."""
    frame = text_frame(rows, _ACCOUNT).with_columns(
        source_key=blank_to_null("code"),
        stamp=to_utc("updateDate"),
        iban=blank_to_null("iban").str.replace_all(" ", "", literal=True).str.to_uppercase(),
        other_id=pl.coalesce(blank_to_null("ban"), blank_to_null("statement_id")),
        bank=blank_to_null("bank_code"),
        name=blank_to_null("description"),
        currency=pl.coalesce(blank_to_null("currency_code"), _code("currency_text")),
        legal_entity=_entity(pl.col("company"), settings),
    )
    frame = frame.with_columns(
        changed_at=pl.coalesce("stamp", pl.lit(_asked(page)).dt.convert_time_zone("UTC")),
        source_version=pl.col("stamp").dt.epoch("ms").fill_null(0),
        is_deleted=pl.lit(False),
        region=_region(settings),
    )
    own = ("iban", "other_id", "bank", "name", "currency")
    rules = [required("source_key", "code"), readable("updateDate", "stamp", "bad_time"), iso_currency("currency", "currency.code")]
    return _finish(rows, frame, rules, Subject(BankAccount.entity, "code", currency="currency"), own=own, paths=_ACCOUNT)


def _balances(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """Closing balances of past days, an intraday one of today. The version is the day on which they were asked: balances carry no
    stamp, may be corrected for some days, and a page read earlier must not overwrite what was read later.
    """
    asked = _asked(page)
    companies = _companies(page)
    kind = pl.when(pl.col("as_of_date") < asked.date()).then(pl.lit("closing_booked")).otherwise(pl.lit("intraday"))
    frame = text_frame(rows, _BALANCE).with_columns(
        account=blank_to_null("code"),
        as_of_date=to_date("day"),
        amount_said=pl.coalesce("amount_value", "amount_text"),
        currency=pl.coalesce(blank_to_null("currency_code"), blank_to_null("currency_nested")),
        legal_entity=_entity(pl.col("code").replace_strict(companies, default=None, return_dtype=pl.String), settings),
    )
    frame = frame.with_columns(amount=to_amount("amount_said"), balance_type=kind).with_columns(
        source_key=pl.concat_str("account", "day", "balance_type", separator="|"),
        source_version=pl.lit(asked.date().toordinal(), pl.Int64),
        # known to the bank by the end of its day; today's only as of when it was asked
        changed_at=pl.min_horizontal(
            (pl.col("as_of_date").cast(pl.Datetime("us", "UTC")) + pl.duration(days=1)), pl.lit(asked).dt.convert_time_zone("UTC")
        ),
        is_deleted=pl.lit(False),
        region=_region(settings),
    )
    rules = [
        *drifted(rows, ("date", "currencyCode"), ("date", "amount")),
        required("account", "account.code"),
        required("day", "date"),
        readable("day", "as_of_date", "bad_date", "date"),
        required("amount_said", "amount"),
        readable("amount_said", "amount", "bad_amount", "amount"),
        *known_currency("amount", "currency", "currencyCode"),
    ]
    own = ("account", "balance_type", "as_of_date", "amount", "currency")
    return _finish(rows, frame, rules, Subject(BankBalance.entity, "source_key", None, "amount", "currency"), own=own, paths=_BALANCE)


def _flows(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """Cash flows, ours among them: those carry a reference that begins with TG-, by which measures leave them out."""
    companies = _companies(page)
    frame = text_frame(rows, _FLOW).with_columns(
        source_key=blank_to_null("uuid"),
        updated=pl.coalesce("updated", "updated_top"),
        created=pl.coalesce("created", "created_top"),
        day=pl.coalesce(blank_to_null("value_day"), blank_to_null("transaction_day")),
        amount_said=pl.coalesce("value", "amount_alt"),
        currency=pl.coalesce(blank_to_null("currency_code"), _code("currency_text")),
        account=blank_to_null("account_code"),
        category=blank_to_null("flow_code"),
        reference=blank_to_null("reference"),
        confidence=pl.col("status_code").replace_strict(CONFIDENCE, default=None, return_dtype=pl.String),
        legal_entity=_entity(pl.col("account_code").replace_strict(companies, default=None, return_dtype=pl.String), settings),
    )
    frame = frame.with_columns(
        changed_at=to_utc("updated"), created_at=to_utc("created"), expected_date=to_date("day"), amount=to_amount("amount_said")
    ).with_columns(
        source_version=pl.col("changed_at").dt.epoch("ms"),
        made_at=pl.coalesce("created_at", "changed_at"),
        is_deleted=pl.lit(False),
        region=_region(settings),
    )
    own = ("made_at", "expected_date", "amount", "currency", "account", "category", "confidence", "reference")
    rules = [*_flow_drift(rows), *_flow_rules(companies)]
    return _finish(rows, frame, rules, Subject(ForecastItem.entity, "uuid", None, "amount", "currency"), own=own, paths=_FLOW)


def _flow_drift(rows: Rows) -> list[Rule]:
    return drifted(rows, ("uuid", "reference", "status"), ("uuid", "status", "flowAmount", "date"))


def _flow_rules(companies: Mapping[str, str | None]) -> list[Rule]:
    rules = [
        required("uuid"),
        required("updated", "updateDateTime"),
        readable("updated", "changed_at", "bad_time", "updateDateTime"),
        readable("created", "created_at", "bad_time", "creationDateTime"),
        required("day", "valueDate"),
        readable("day", "expected_date", "bad_date", "valueDate"),
        required("amount_said", "flowAmount"),
        readable("amount_said", "amount", "bad_amount", "flowAmount"),
        *known_currency("amount", "currency", "flowAmount.currency"),
        required("status_code", "status"),
        readable("status_code", "confidence", "bad_value", "status"),
    ]
    if companies:
        stranger = pl.col("account").is_not_null() & ~pl.col("account").is_in(sorted(companies))
        rules.append(Rule("bad_value", "account.code", stranger, "account.code is no account that treasury lists"))
    return rules


def _finish(
    rows: Rows, frame: pl.DataFrame, rules: list[Rule], subject: Subject, *, own: tuple[str, ...], paths: Mapping[str, str]
) -> Mapped:
    good, bad = settle(frame, rules, subject, paths)
    return Mapped(
        records=rows.total,
        frames={subject.entity: good.select(ORDINAL, *_ENVELOPE, *own)},
        rejects=all_rejects(broken_rejects(rows, subject.entity), bad),
        fields_seen=fields_seen(rows),
    )


def _code(column: str) -> pl.Expr:
    """The currency where it stands as plain text and not as an object with a code."""
    return pl.when(pl.col(column).str.contains("^[A-Z]{3}$")).then(pl.col(column))


def _entity(company: pl.Expr, settings: Settings) -> pl.Expr:
    named = settings.legal_entity_by_company
    ours = company.replace_strict(named, default=company, return_dtype=pl.String) if named else company
    return pl.coalesce(ours, pl.lit(settings.legal_entity, pl.String))


def _region(settings: Settings) -> pl.Expr:
    return pl.col("legal_entity").replace_strict(settings.region_by_entity, default=settings.region, return_dtype=pl.String)


def _companies(page: Page) -> dict[str, str | None]:
    said: Any = json.loads(page.headers.get(ACCOUNTS_HEADER) or "{}")
    return {str(code): None if company is None else str(company) for code, company in said.items()}


def _asked(page: Page) -> datetime:
    """When the page was asked for; a page without it can't be dated."""
    said = page.headers.get(ASKED_HEADER)
    if not said:
        raise DataError("the page does not say when it was asked for", cause="file_unreadable", evidence={"headers": sorted(page.headers)})
    return datetime.fromisoformat(said).astimezone(UTC)
