"""Business events out of the difference between a row as it was and as it is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from sync import events
from sync.canonical.checks import conform
from sync.canonical.contracts import CONTRACTS

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


def rows(entity: str, *values: dict[str, Any], backfilled: bool = False) -> pl.DataFrame:
    """Canonical rows of `entity`, envelope included."""
    fixed = {"source_version": 1, "region": "EMEA", "changed_at": NOON, "legal_entity": "DE01"}
    data = [{"ordinal": number, "source_key": f"K{number}", **fixed, **value} for number, value in enumerate(values)]
    frame = pl.DataFrame(data, schema_overrides={"changed_at": pl.Datetime("us", "UTC")}, infer_schema_length=None)
    return conform(frame, CONTRACTS[entity]).with_columns(
        source=pl.lit("erp"), recorded_at=pl.lit(NOON), raw_record_id=pl.lit(7, dtype=pl.Int64), backfilled=pl.lit(backfilled)
    )


def types(told: pl.DataFrame) -> list[str]:
    """What happened, in order."""
    return sorted(told["type"].to_list())


def test_an_order_is_created_blocked_and_released() -> None:
    """A new blocked order tells both; when the block is gone it is released; an unchanged block tells nothing again."""
    blocked = rows("sales_order", {"number": "512", "customer_key": "C1", "contract_number": "K-9", "delivery_block": "01"})
    free = rows("sales_order", {"number": "512", "customer_key": "C1", "contract_number": "K-9", "delivery_block": ""})
    nothing = blocked.clear()
    assert types(events.diff("sales_order", blocked, nothing)) == ["order.blocked", "order.created"]
    assert types(events.diff("sales_order", free, blocked)) == ["order.released"]
    assert types(events.diff("sales_order", blocked, blocked)) == []
    assert types(events.diff("sales_order", blocked, free)) == ["order.blocked"]
    told = events.diff("sales_order", free, blocked)
    assert told["objects"].to_list() == [["order:512", "contract:K-9", "customer:erp:C1"]]


def test_history_is_ignored_but_what_is_blocked_today_is_not() -> None:
    """Rows that came with history make ignored events, except a block that still stands."""
    old = rows(
        "sales_order", {"number": "1", "customer_key": "C1", "delivery_block": "01"}, {"number": "2", "customer_key": "C1"}, backfilled=True
    )
    told = events.diff("sales_order", old, old.clear())
    assert {(row["type"], row["source_key"]): row["state"] for row in told.iter_rows(named=True)} == {
        ("order.created", "K0"): "ignored", ("order.created", "K1"): "ignored", ("order.blocked", "K0"): "new"}  # fmt: skip


def test_a_completed_order_is_not_blocked() -> None:
    """A block left on an order that is complete or cancelled holds nothing up."""
    done = rows("sales_order", {"number": "1", "customer_key": "C1", "delivery_block": "01", "status": "complete"})
    assert types(events.diff("sales_order", done, done.clear())) == ["order.created"]


def test_an_invoice_is_posted_disputed_and_cancelled_once() -> None:
    """Each turn of an invoice is one event, on the day that the business gives it."""
    base = {
        "number": "9",
        "customer_key": "C1",
        "issue_date": date(2026, 3, 1),
        "posting_date": date(2026, 3, 2),
        "gross": None,
        "currency": "EUR",
    }
    draft = rows("invoice", {**base, "status": "draft"})
    posted = rows("invoice", {**base, "status": "posted"})
    disputed = rows("invoice", {**base, "status": "posted", "is_disputed": True})
    cancelled = rows("invoice", {**base, "status": "cancelled", "is_disputed": True})
    assert types(events.diff("invoice", draft, draft.clear())) == []
    told = events.diff("invoice", posted, draft)
    assert types(told) == ["invoice.posted"]
    assert told["occurred_at"].to_list() == [datetime(2026, 3, 2, tzinfo=UTC)]
    assert types(events.diff("invoice", disputed, posted)) == ["invoice.disputed"]
    assert types(events.diff("invoice", cancelled, disputed)) == ["invoice.cancelled"]


def test_the_cash_position_is_told_per_account_and_day() -> None:
    """Opening and closing balance of one account on one day are one refreshed position, not two."""
    day = {"account": "A1", "as_of_date": date(2026, 3, 4), "currency": "EUR"}
    both = rows(
        "bank_balance",
        {**day, "balance_type": "opening_booked"},
        {**day, "balance_type": "closing_booked"},
        {**day, "account": "A2", "balance_type": "closing_booked"},
    )
    told = events.diff("bank_balance", both, both.clear())
    assert types(told) == ["cash_position.refreshed"] * 2
    assert sorted(told["source_key"].to_list()) == ["A1|2026-03-04", "A2|2026-03-04"]


def test_a_deleted_row_tells_nothing() -> None:
    """A deletion is a version, not a business event."""
    gone = rows("quote", {"number": "Q1", "is_deleted": True})
    assert events.diff("quote", gone, gone.clear()).is_empty()


def test_every_rule_runs_on_an_empty_and_on_a_null_row() -> None:
    """No rule trips over rows that say almost nothing."""
    for entity in {rule.entity for rule in events.RULES}:
        bare = rows(entity, {})
        told = events.diff(entity, bare, bare.clear())
        assert dict(told.schema) == events.EVENT_SCHEMA
        events.diff(entity, bare, bare)
