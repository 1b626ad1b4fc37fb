"""Balances in canonical words: treasury's cash position and the banks' own balances. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import polars as pl

from sync.canonical.contracts import BankBalance
from sync.ports import REJECT_SCHEMA, Mapped, Page, no_rejects
from sync.systems.kyriba.columns import asked, companies, double_amount, entity, finish, region
from sync.systems.kyriba.settings import Settings
from sync.systems.kyriba.wire import ACCOUNT_HEADER, BALANCE_HEADER, REFUSED_HEADER
from sync.wire_frames import (
    Rows,
    Rule,
    Subject,
    blank_to_null,
    decode,
    drifted,
    known_currency,
    readable,
    required,
    text_frame,
    to_date,
)

# Column -> where it stands in their record.
_CASH = {
    "code": "account.code", "day_plain": "date", "day_balance": "balanceDate", "day_nested": "balanceDate.date", "amount_text": "amount",
    "amount_value": "amount.value", "currency_code": "currencyCode", "currency_nested": "currency.code",
}  # fmt: skip
_BANK = {
    "code": "account.code", "day_text": "bankBalance.balanceDate", "known_text": "bankBalance.lastKnownBalanceDate",
    "amount_text": "bankBalance.amount", "amount_value": "bankBalance.amount.value", "currency_code": "bankBalance.currencyCode",
    "currency_nested": "bankBalance.currency.code",
}  # fmt: skip
_TYPES = {"END_OF_DAY": "closing_booked", "INTRADAY": "intraday"}
_OWN = ("account", "balance_type", "as_of_date", "amount", "currency")
_SUBJECT = Subject(BankBalance.entity, "source_key", None, "amount", "currency")


def refused(page: Page) -> Mapped | None:
    """A page that is a refusal: nothing where a bank has said nothing, else one reject for the account; None for any other page."""
    status, _, code = page.headers.get(REFUSED_HEADER, "").partition(" ")
    if not status:
        return None
    if status == "404" and BALANCE_HEADER in page.headers:
        return Mapped(0, {}, no_rejects())
    message = f"treasury refuses the balances of account {code} with {status}"
    evidence = json.dumps({"answer": page.body[:1000].decode("utf-8", "replace")})
    reject = {"ordinal": 0, "entity": BankBalance.entity, "source_key": code, "cause": "source_permanent", "field": "account.code",
              "message": message, "evidence": evidence}  # fmt: skip
    return Mapped(1, {}, pl.DataFrame([reject], schema=REJECT_SCHEMA))


def cash_balances(rows: Rows, page: Page, settings: Settings) -> Mapped:
    """Closing balances of past days, an intraday one of today. The version is the day on which they were asked: balances carry no
    stamp, may be corrected for some days, and a page read earlier must not overwrite what was read later.
    """
    when = asked(page)
    kind = pl.when(pl.col("as_of_date") < when.date()).then(pl.lit("closing_booked")).otherwise(pl.lit("intraday"))
    frame = text_frame(rows, _CASH).with_columns(
        account=pl.coalesce(blank_to_null("code"), pl.lit(page.headers.get(ACCOUNT_HEADER), pl.String)),
        day=pl.coalesce(*(blank_to_null(name) for name in ("day_plain", "day_nested", "day_balance"))),
        currency=pl.coalesce(blank_to_null("currency_code"), blank_to_null("currency_nested")),
    )
    frame = frame.with_columns(as_of_date=to_date("day")).with_columns(balance_type=kind)
    frame = _settled(frame, when, companies(page), settings).with_columns(
        source_key=pl.concat_str("account", "day", "balance_type", separator="|")
    )
    dated = () if "balanceDate" in rows.members() else ("date",)
    rules = [*drifted(rows, ("date", "currencyCode"), (*dated, "amount")), _of(page.headers.get(ACCOUNT_HEADER)), *_rules("date")]
    return finish(rows, frame, rules, _SUBJECT, own=_OWN, paths=_CASH)


def bank_balance(page: Page, settings: Settings) -> Mapped:
    """One account's balance as its bank told it: a page is one answer. None where the bank told nothing.

    Where a day has no statement the tenant repeats the last one's balance and says of which day it is: that day counts.
    """
    kind, _, code = page.headers.get(BALANCE_HEADER, "END_OF_DAY ").partition(" ")
    rows = decode([page.body])
    if any(_is_silent(row) for row in rows.sound):
        return Mapped(0, {}, no_rejects())
    when = asked(page)
    frame = text_frame(rows, _BANK).with_columns(
        account=pl.coalesce(blank_to_null("code"), pl.lit(code or None, pl.String)),
        told=to_date("day_text"),
        known=to_date("known_text"),
        day=pl.coalesce(blank_to_null("day_text"), blank_to_null("known_text")),
        currency=pl.coalesce(blank_to_null("currency_code"), blank_to_null("currency_nested")),
        balance_type=pl.lit(_TYPES.get(kind, "closing_booked")),
    )
    frame = frame.with_columns(as_of_date=pl.min_horizontal("told", "known"))
    frame = _settled(frame, when, companies(page), settings).with_columns(
        source_key=pl.concat_str(pl.lit("bank"), "account", pl.col("as_of_date").dt.to_string("%Y-%m-%d"), "balance_type", separator="|")
    )
    rules = [
        Rule("schema_drift", "bankBalance", pl.lit(value=not _is_object(rows)), "bankBalance is no object"),
        _of(code or None),
        *_rules("balanceDate"),
    ]
    return finish(rows, frame, rules, _SUBJECT, own=_OWN, paths=_BANK)


def _settled(frame: pl.DataFrame, when: datetime, listed: Mapping[str, str | None], settings: Settings) -> pl.DataFrame:
    """What both kinds of balance have: the exact amount, and the envelope but for the key."""
    return frame.with_columns(
        amount_said=pl.coalesce("amount_value", "amount_text"),
        legal_entity=entity(pl.col("account").replace_strict(listed, default=None, return_dtype=pl.String), settings),
    ).with_columns(
        amount=double_amount("amount_said"),
        source_version=pl.lit(when.date().toordinal(), pl.Int64),
        # known to the bank by the end of its day; today's only as of when it was asked
        changed_at=pl.min_horizontal(
            (pl.col("as_of_date").cast(pl.Datetime("us", "UTC")) + pl.duration(days=1)), pl.lit(when).dt.convert_time_zone("UTC")
        ),
        is_deleted=pl.lit(value=False),
        region=region(settings),
    )


def _of(account: str | None) -> Rule:
    """A balance is the asked account's: one that names another would be taken for that one's."""
    other = pl.col("code").is_not_null() & (pl.col("code") != pl.lit(account, pl.String))
    return Rule("bad_value", "account.code", other, f"account.code is not {account}, the account that was asked for")


def _rules(dated: str) -> list[Rule]:
    return [
        required("account", "account.code"),
        required("day", dated),
        readable("day", "as_of_date", "bad_date", dated),
        required("amount_said", "amount"),
        readable("amount_said", "amount", "bad_amount", "amount"),
        *known_currency("amount", "currency", "currencyCode"),
    ]


def _is_silent(row: Mapping[str, object]) -> bool:
    """Whether the answer says that there is no balance: none at all, one without an amount, or an error in its place."""
    balance = row.get("bankBalance")
    return (
        ("bankBalance" not in row and "error" in row)
        or ("bankBalance" in row and balance is None)
        or (isinstance(balance, dict) and "amount" in balance and balance["amount"] is None)
    )


def _is_object(rows: Rows) -> bool:
    return all(isinstance(row.get("bankBalance"), dict) for row in rows.sound)
