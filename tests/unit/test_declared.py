"""Records of text from anywhere become canonical rows as declared, or rejects; nothing about files is needed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sync.canonical.described import described
from sync.declared.columns import amount
from sync.declared.declaration import Declaration, Rule
from sync.declared.mapping import Speaker, Telling, canonical
from sync.declared.records import of_rows
from sync.declared.rules import value

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
DECLARATION = Declaration.model_validate(
    {
        "null_values": ["n/a"],
        "columns": {
            "id": {"required": True},
            "customer": {"required": True},
            "day": {"type": "date", "formats": ["%Y-%m-%d"], "required": True},
            "total": {"type": "amount", "required": True},
        },
        "entities": [
            {
                "entity": "invoice",
                "key": "id",
                "fields": {
                    "number": "id",
                    "customer_key": "customer",
                    "issue_date": "day",
                    "gross": "total",
                    "currency": {"value": "EUR"},
                    "status": {"value": "posted"},
                },
            }
        ],
    }
)
GOOD = {"id": " 007 ", "customer": "C1", "day": "2026-05-01", "total": "12.50"}


def test_rows_of_text_become_canonical_rows_and_rejects() -> None:
    """Ordinals follow the records, the unreadable one among them too; a value that means nothing is nothing."""
    rows = [GOOD, {**GOOD, "id": "008", "customer": "n/a"}, {**GOOD, "id": "009", "total": "many"}]
    records = of_rows(rows, DECLARATION, ["id", "customer", "day", "total", "new"], broken=[(1, "{\0", "no JSON")])
    found = canonical(records, DECLARATION, Speaker("EMEA", "DE01"), Telling("page 1", NOW, version=5))
    [invoice] = found.frames["invoice"].to_dicts()
    assert (invoice["source_key"], invoice["gross"], invoice["source_version"], invoice["legal_entity"]) == (
        "007",
        Decimal("12.5"),
        5,
        "DE01",
    )
    rejects = {row["ordinal"]: (row["cause"], row["field"]) for row in found.rejects.to_dicts()}
    assert rejects == {1: ("malformed_record", ""), 2: ("missing_field", "customer"), 3: ("bad_amount", "total")}
    assert (found.records, found.fields_seen["new"]) == (4, "text")


def test_no_rows_are_no_rows() -> None:
    """An empty page maps to empty frames."""
    found = canonical(of_rows([], DECLARATION, []), DECLARATION, Speaker("EMEA"), Telling("page 1", NOW))
    assert (found.records, found.frames["invoice"].height, found.rejects.height) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "decimals", "expected"),
    [
        ("0000012345", 2, "123.45"),
        ("12345-", 2, "-123.45"),
        ("-5", 2, "-0.05"),
        ("7", 3, "0.007"),
        ("123.45", 2, None),
        ("1234567", 6, None),
        ("1230000", 6, "1.23"),
    ],
)
def test_implied_decimals_are_exact(text: str, decimals: int, expected: str | None) -> None:
    """Digits without a decimal mark; what does not fit four decimals is no amount."""
    read = pl.select(amount(pl.lit(text), decimal=".", thousands=None, trailing_minus=True, implied_decimals=decimals)).item()
    assert read == (None if expected is None else Decimal(expected))


def test_a_date_may_lie_days_after_another() -> None:
    """The first term that is there and not zero counts; without one there is no date."""
    rule = Rule.model_validate({"after": {"day": "d", "days": ["n", "m"]}})
    frame = pl.DataFrame(
        {"d": [date(2026, 1, 30)] * 4, "n": [0, 30, None, 10**12], "m": [14, 5, None, None]},
        schema={"d": pl.Date, "n": pl.Int64, "m": pl.Int64},
    )
    assert frame.select(value(rule, "date")).to_series().to_list() == [date(2026, 2, 13), date(2026, 3, 1), None, None]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"due_date": {"after": {"day": "id", "days": "total"}}}, "id has to be declared date"),
        ({"gross": {"after": {"day": "day", "days": "total"}}}, "takes a amount"),
        ({"is_credit": {"cases": [{"when": [{"column": "id", "is": "positive"}], "value": True}]}}, "only an amount or an integer"),
        ({"is_credit": {"cases": [{"when": [{"column": "id", "is": "equals_column"}], "value": True}]}}, "needs `other`"),
    ],
)
def test_rules_that_compare_what_can_not_be_compared_are_refused(change: dict[str, Any], words: str) -> None:
    """Said when the declaration is read, not in the middle of a page."""
    document = DECLARATION.model_dump(by_alias=True, exclude_none=True)
    document["entities"][0]["fields"].update(change)
    with pytest.raises(ValueError, match=words):
        Declaration.model_validate(document)


def test_the_page_of_the_entities_says_what_the_contracts_say() -> None:
    """After a change of a contract: `python -m sync.canonical.described > docs/connections/entities.md`."""
    page = Path(__file__).parents[2] / "docs" / "connections" / "entities.md"
    assert page.read_text(encoding="utf-8") == described()
