"""The vectorised contract checks say the same as the pydantic models, row by row."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from db.money import MoneyInvalid, decimals, exponent
from sync.canonical.checks import base_type, conform, frame_schema, rules, violations
from sync.canonical.contracts import CONTRACTS, Customer, Invoice

_STAMP = datetime(2026, 3, 1, tzinfo=UTC)
_TEXT = st.sampled_from([None, "", "x", "0007", "nul\x00"])
_ROW = st.fixed_dictionaries(
    {
        "source_key": _TEXT,
        "source_version": st.sampled_from([None, 1, -5]),
        "region": st.sampled_from(["EMEA", "", None]),
        "changed_at": st.sampled_from([_STAMP, None]),
        "number": _TEXT,
        "customer_key": _TEXT,
        "issue_date": st.sampled_from([date(2026, 1, 1), None]),
        "gross": st.sampled_from([Decimal("1.00"), Decimal("1.005"), Decimal(-3), Decimal(0), None]),
        "currency": st.sampled_from(["EUR", "JPY", "BHD", "XXQ", "eur", "", None]),
        "status": st.sampled_from(["posted", "draft", "open", None]),
        "due_date": st.sampled_from([date(2026, 2, 1), None]),
    }
)


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a mapped frame, in the contract's types."""
    schema = frame_schema(Invoice)
    columns = {name: pl.Series([row[name] for row in rows], dtype=schema[name]) for name in rows[0]}
    return conform(pl.DataFrame({"ordinal": pl.Series(range(len(rows)), dtype=pl.Int64), **columns}), Invoice)


def passes(row: dict[str, Any]) -> bool:
    """One row, judged one at a time."""
    try:
        Invoice.model_validate(row)
        if row["gross"] is not None and decimals(row["gross"]) > exponent(row["currency"]):
            return False
    except (ValidationError, MoneyInvalid):
        return False
    return not any("\x00" in value for value in row.values() if isinstance(value, str))


@settings(max_examples=60, deadline=None)
@given(st.lists(_ROW, min_size=1, max_size=20))
def test_the_checks_agree_with_the_models(rows: list[dict[str, Any]]) -> None:
    """Exactly the rows that pydantic and the currency's exponent refuse are the rows that the checks refuse."""
    found = violations(frame(rows), Invoice)
    assert set(found["ordinal"]) == {number for number, row in enumerate(rows) if not passes(row)}
    assert found.null_count().sum_horizontal().item() == 0


@pytest.mark.parametrize("entity", CONTRACTS)
def test_every_contract_has_checks_for_its_required_fields(entity: str) -> None:
    """A required field of any contract is refused when it is empty."""
    contract = CONTRACTS[entity]
    required = {name for name in contract.model_fields if not base_type(contract, name)[1]}
    assert required == {rule.field for rule in rules(contract) if rule.cause == "missing_field"}


def test_a_column_of_another_kind_is_the_mappings_mistake() -> None:
    """Text where the contract has a number is no bad data but a wrong mapping, and says which column."""
    wrong = pl.DataFrame({"ordinal": [0], "payment_terms_days": ["thirty"]})
    with pytest.raises(ValueError, match="payment_terms_days"):
        conform(wrong, Customer)


def test_missing_columns_are_null_or_the_default() -> None:
    """A mapping names only what it knows; flags are then false, the rest is null."""
    made = conform(pl.DataFrame({"ordinal": [0], "source_key": ["C1"], "order_block": [None]}), Customer)
    assert made["order_block"].to_list() == [False]
    assert made["is_deleted"].to_list() == [False]
    assert made["name"].to_list() == [None]
