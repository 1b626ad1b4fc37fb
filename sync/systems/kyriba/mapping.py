"""Kyriba's accounts and cash flows in canonical words, and the way to every other mapping. Pure: bytes and the page's own headers in, frames out."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from sync.canonical.contracts import BankAccount, ForecastItem
from sync.ports import Mapped, Page
from sync.systems.kyriba.columns import asked, companies, double_amount, entity, finish, moment, plain_code, region
from sync.systems.kyriba.mapping_balances import bank_balance, cash_balances, refused
from sync.systems.kyriba.mapping_transfers import transfers
from sync.systems.kyriba.settings import Settings
from sync.systems.kyriba.wire import records_of
from sync.wire_frames import (
    Rows,
    Rule,
    Subject,
    blank_to_null,
    decode,
    drifted,
    iso_currency,
    known_currency,
    readable,
    required,
    text_frame,
    to_date,
    to_utc,
)

CONFIDENCE = {"ESTIMATED": "estimated", "CONFIRMED": "confirmed", "ACTUAL": "actual"}
# Column -> where it stands in their record. The details of an account name some of it otherwise than the listing does.
_ACCOUNT = {
    "code": "code", "description": "description", "iban": "ibanCode", "ban": "banCode", "statement_id": "statementIdentifier",
    "ban_structure": "bankAccountID.banStructure", "ban_value": "bankAccountID.value", "ban_statement": "bankAccountID.statementIdentifier",
    "bank_code": "bank.code", "branch_code": "branch.code", "company": "company.code", "currency_code": "currency.code",
    "currency_text": "currency", "updateDate": "updateDate",
}  # fmt: skip
_FLOW = {
    "uuid": "uuid", "reference": "reference", "status_code": "status", "account_code": "account.code", "flow_code": "flowCode.code",
    "value": "flowAmount.value", "amount_alt": "flowAmount.amount", "currency_code": "flowAmount.currency.code",
    "currency_text": "flowAmount.currency", "transaction_day": "date.transactionDate", "value_day": "date.valueDate",
    "updated": "date.updateDateTime", "created": "date.creationDateTime", "updated_top": "updateDateTime",
    "created_top": "creationDateTime", "value_day_top": "valueDate", "transaction_day_top": "transactionDate",
}  # fmt: skip


def map_page(stream: str, page: Page, settings: Settings) -> Mapped:
    """A page of `accounts`, `balances`, `bank_balances`, `cash_flows` or `transfers`. Raises DataError when it is none."""
    if stream == "accounts":
        return _accounts(decode(records_of(page.body, "results").records), page, settings)
    if stream == "balances":
        return refused(page) or cash_balances(decode(records_of(page.body, "cashBalance").records), page, settings)
    if stream == "bank_balances":
        return refused(page) or bank_balance(page, settings)
    if stream == "transfers":
        return transfers(decode(records_of(page.body, "results").records), page, settings)
    return _flows(decode(records_of(page.body, "results").records), page, settings)


def _accounts(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """A snapshot: the version is their own stamp where they give one; without it all are equal and the later received wins."""
    iban_value = pl.when(pl.col("ban_structure") == "IBAN_STRUCTURE").then(blank_to_null("ban_value"))
    other_value = pl.when(pl.col("ban_structure").ne_missing("IBAN_STRUCTURE")).then(blank_to_null("ban_value"))
    frame = text_frame(rows, _ACCOUNT).with_columns(
        source_key=blank_to_null("code"),
        stamp=moment("updateDate"),
        iban=pl.coalesce(blank_to_null("iban"), iban_value).str.replace_all(" ", "", literal=True).str.to_uppercase(),
        other_id=pl.coalesce(blank_to_null("ban"), other_value, blank_to_null("statement_id"), blank_to_null("ban_statement")),
        bank=pl.coalesce(blank_to_null("bank_code"), blank_to_null("branch_code")),
        name=blank_to_null("description"),
        currency=pl.coalesce(blank_to_null("currency_code"), plain_code("currency_text")),
        legal_entity=entity(pl.col("company"), settings),
    )
    frame = frame.with_columns(
        changed_at=pl.coalesce("stamp", pl.lit(asked(page)).dt.convert_time_zone("UTC")),
        source_version=pl.col("stamp").dt.epoch("ms").fill_null(0),
        is_deleted=pl.lit(value=False),
        region=region(settings),
    )
    own = ("iban", "other_id", "bank", "name", "currency")
    rules = [required("source_key", "code"), readable("updateDate", "stamp", "bad_time"), iso_currency("currency", "currency.code")]
    return finish(rows, frame, rules, Subject(BankAccount.entity, "code", currency="currency"), own=own, paths=_ACCOUNT)


def _flows(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """Cash flows, ours among them: those carry a reference that begins with TG-, by which measures leave them out."""
    listed = companies(page)
    frame = text_frame(rows, _FLOW).with_columns(
        source_key=blank_to_null("uuid"),
        updated=pl.coalesce("updated", "updated_top"),
        created=pl.coalesce("created", "created_top"),
        day=pl.coalesce(*(blank_to_null(name) for name in ("value_day", "transaction_day", "value_day_top", "transaction_day_top"))),
        amount_said=pl.coalesce("value", "amount_alt"),
        currency=pl.coalesce(blank_to_null("currency_code"), plain_code("currency_text")),
        account=blank_to_null("account_code"),
        category=blank_to_null("flow_code"),
        reference=blank_to_null("reference"),
        confidence=pl.col("status_code").replace_strict(CONFIDENCE, default=None, return_dtype=pl.String),
        legal_entity=entity(pl.col("account_code").replace_strict(listed, default=None, return_dtype=pl.String), settings),
    )
    frame = frame.with_columns(
        changed_at=to_utc("updated"), created_at=to_utc("created"), expected_date=to_date("day"), amount=double_amount("amount_said")
    ).with_columns(
        source_version=pl.col("changed_at").dt.epoch("ms"),
        made_at=pl.coalesce("created_at", "changed_at"),
        is_deleted=pl.lit(value=False),
        region=region(settings),
    )
    own = ("made_at", "expected_date", "amount", "currency", "account", "category", "confidence", "reference")
    rules = [*_flow_drift(rows), *_flow_rules(listed)]
    return finish(rows, frame, rules, Subject(ForecastItem.entity, "uuid", None, "amount", "currency"), own=own, paths=_FLOW)


def _flow_drift(rows: Rows) -> list[Rule]:
    """Dates stand under `date`, or beside it where a tenant has them so; only where they do neither has the shape changed."""
    beside = "updateDateTime" in rows.members()
    promised = ("uuid", "status", "flowAmount") if beside else ("uuid", "status", "flowAmount", "date")
    return drifted(rows, ("uuid", "reference", "status"), promised)


def _flow_rules(listed: Mapping[str, str | None]) -> list[Rule]:
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
    if listed:
        stranger = pl.col("account").is_not_null() & ~pl.col("account").is_in(sorted(listed))
        rules.append(Rule("bad_value", "account.code", stranger, "account.code is no account that treasury lists"))
    return rules
