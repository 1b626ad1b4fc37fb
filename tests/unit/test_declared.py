"""Records of text from anywhere become canonical rows as declared, or rejects; nothing about files is needed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from sync.declared.declaration import Declaration
from sync.declared.mapping import Speaker, Telling, canonical
from sync.declared.records import of_rows

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
