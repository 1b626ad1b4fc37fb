"""Balance reports in canonical words: a report is one record with several balances. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from sync.canonical.contracts import BankBalance
from sync.ports import REJECT_SCHEMA, Mapped, Page
from sync.systems.modern_treasury.envelope import ENVELOPE
from sync.systems.modern_treasury.settings import Settings
from sync.systems.modern_treasury.wire import REFUSED_HEADER, amounts_differ, major_units
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
    to_amount,
    to_date,
    to_utc,
)

KIND = {
    "opening_ledger": "opening_booked", "closing_ledger": "closing_booked", "current_ledger": "intraday",
    "closing_available": "available", "current_available": "available", "opening_available": "available",
    "opening_available_next_business_day": "forward_available",
}  # fmt: skip
LEFT_OUT = ("other", "previously_closed_book")
"""What they mean is the bank's own business, or a day's balance that another report brings."""
_SCHEMA = {
    ORDINAL: pl.Int64(), "account_id": pl.String(), "report_day": pl.String(), "updated": pl.String(), "kind": pl.String(),
    "balance_day": pl.String(), "minor": pl.String(), "minor_text": pl.String(), "currency_said": pl.String(),
    "nested": pl.String(),
}  # fmt: skip
_READ = ("updated_at", "balance_type", "as_of_date", "amount", "amount_string", "currency")
"""What is read of each balance."""

_EVIDENCE = {
    "account_id": "internal_account_id", "report_day": "as_of_date", "updated": "updated_at", "kind": "balance_type", "minor": "amount",
    "minor_text": "amount_string", "currency_said": "currency",
}  # fmt: skip


def map_balances(rows: Rows, entities: Mapping[str, str | None], settings: Settings) -> Mapped:
    """Every balance of every report. A report of which one balance can't be read is quarantined as a whole: its parts belong together.

    The day is the balance's own where it names one, else the report's. Of two reports of a day the later changed one wins.
    """
    frame = pl.DataFrame(
        [row for ordinal, report in zip(rows.ordinals, rows.sound, strict=True) for row in _balances(ordinal, report)], schema=_SCHEMA
    )
    frame = frame.filter(
        ~pl.col("account_id").is_in(settings.leave_out_accounts).fill_null(value=False)
        & ~pl.col("kind").is_in(LEFT_OUT).fill_null(value=False)
    ).with_columns(
        exact=pl.coalesce(blank_to_null("minor_text"), "minor"),
        currency=blank_to_null("currency_said"),
        account=blank_to_null("account_id"),
        day=pl.coalesce(blank_to_null("balance_day"), blank_to_null("report_day")),
        balance_type=pl.col("kind").replace_strict(KIND, default=None, return_dtype=pl.String),
        changed_at=to_utc("updated"),
        legal_entity=pl.coalesce(
            pl.col("account_id").replace_strict(entities, default=None, return_dtype=pl.String), pl.lit(settings.legal_entity, pl.String)
        ),
        is_deleted=pl.lit(value=False),
    )
    frame = frame.with_columns(
        as_of_date=to_date("day"),
        amount_said=major_units("exact", "currency"),
        source_key=pl.concat_str("account", "day", "kind", separator="|"),
        source_version=pl.col("changed_at").dt.epoch("ms"),
        region=pl.col("legal_entity").replace_strict(settings.region_by_entity, default=settings.region, return_dtype=pl.String),
    ).with_columns(amount=to_amount("amount_said"))
    good, bad = settle(frame, [*_drift(rows), *_rules()], Subject(BankBalance.entity, "source_key", None, "amount", "currency"), _EVIDENCE)
    bad = bad.unique(ORDINAL, keep="first", maintain_order=True)
    good = good.filter(~pl.col(ORDINAL).is_in(bad[ORDINAL].implode()))
    own = ("account", "balance_type", "as_of_date", "amount", "currency")
    return Mapped(
        records=rows.total,
        frames={BankBalance.entity: good.select(ORDINAL, *ENVELOPE, *own)},
        rejects=all_rejects(broken_rejects(rows, BankBalance.entity), bad),
        fields_seen=fields_seen(rows),
    )


def refused_balances(page: Page) -> Mapped:
    """One reject for the account whose reports are refused."""
    account, said = page.headers[REFUSED_HEADER], page.body[:1000].decode("utf-8", "replace")
    reject = {"ordinal": 0, "entity": BankBalance.entity, "source_key": account, "cause": "source_permanent", "field": "internal_account_id",
              "message": f"the balance reports of account {account} are refused: {said}"[:500], "evidence": json.dumps({"answer": said})}  # fmt: skip
    return Mapped(1, {}, pl.DataFrame([reject], schema=REJECT_SCHEMA))


def _balances(ordinal: int, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The balances of a report as rows of texts; a report whose balances are no list gives one empty row, to be refused."""
    told = report.get("balances")
    held = told if isinstance(told, list) else [None]
    return [
        {
            ORDINAL: ordinal,
            "account_id": _text(report.get("internal_account_id")),
            "report_day": _text(report.get("as_of_date")),
            "updated": _text(one.get("updated_at") or report.get("updated_at")),
            "kind": _text(one.get("balance_type")),
            "balance_day": _text(one.get("as_of_date")),
            "minor": _text(one.get("amount")),
            "minor_text": _text(one.get("amount_string")),
            "currency_said": _text(one.get("currency")),
            "nested": next((name for name in _READ if isinstance(one.get(name), dict | list)), None),
        }
        for one in (each if isinstance(each, dict) else {} for each in held)
    ]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _drift(rows: Rows) -> list[Rule]:
    return drifted(rows, ("internal_account_id", "as_of_date", "balance_report_type"), ("internal_account_id", "balances"))


def _rules() -> list[Rule]:
    return [
        Rule("schema_drift", "balances", pl.col("nested").is_not_null(), "a field of a balance has become an object or a list"),
        required("account", "internal_account_id"), required("updated", "updated_at"), readable("updated", "changed_at", "bad_time", "updated_at"),
        required("kind", "balance_type"), readable("kind", "balance_type", "bad_value"),
        required("day", "as_of_date"), readable("day", "as_of_date", "bad_date"),
        required("currency"), iso_currency("currency", "currency"), required("exact", "amount"), readable("exact", "amount", "bad_amount"),
        Rule("bad_amount", "amount_string", amounts_differ(), "amount and amount_string differ"), *known_currency("amount", "currency", "currency"),
    ]  # fmt: skip
