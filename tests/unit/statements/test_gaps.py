"""When what was missing between two statements has come."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from sync.statements.gaps import Gap, Span
from tests.unit.statements.camt_files import IBAN, Camt, read

CAMT = Camt("053", 8)
LAST = {IBAN: {"closing": "90.00", "date": "2026-02-27", "statement": "S-0", "sequence": "5"}}


def gaps(opening: str, sequence: str) -> dict[str, Gap]:
    """What is open behind LAST when a statement of 2 March opens with 100.00 and has this number."""
    closing = str(Decimal(opening) + Decimal("60.50"))
    found = read(CAMT.document(CAMT.entry(), opening=opening, closing=closing, sequence=sequence), LAST)
    told = {row["field"]: Gap.of(json.loads(row["evidence"])) for row in found.rejects.iter_rows(named=True)}
    return {name: gap for name, gap in told.items() if gap is not None}


def span(day: str, opening: str, closing: str, sequence: int | None = None) -> Span:
    return Span(date.fromisoformat(day), Decimal(opening), Decimal(closing), sequence)


@pytest.mark.parametrize(
    ("spans", "filled"),
    [
        ([], False),
        ([span("2026-02-28", "90", "100")], True),
        ([span("2026-02-28", "90.00", "99.99")], False),
        ([span("2026-02-28", "95", "100")], False),
        ([span("2026-03-01", "120", "100"), span("2026-02-28", "90", "120")], True),  # two were missing, the later came first
        ([span("2026-02-28", "90", "120"), span("2026-03-01", "121", "100")], False),
        ([span("2026-02-27", "80", "100")], True),  # the one before came again, corrected
        ([span("2026-03-02", "90", "150")], True),  # the one behind did
        ([span("2026-03-02", "100", "160.50")], False),  # it is the one that did not follow
        ([span("2026-02-20", "90", "100")], False),
        ([span("2026-03-09", "90", "100")], False),
        ([span("2026-02-28", "90", "90"), span("2026-03-01", "90", "100")], True),
    ],
)
def test_balances_meet_by_what_came(spans: list[Span], filled: bool) -> None:
    """Each statement opens with what one before it closed with, from the one side of the gap to the other."""
    gap = gaps("100.00", "6")["opening_booked"]
    assert gap.is_filled(spans) is filled


def test_numbers_are_there_when_all_of_them_have_come() -> None:
    """Numbers 6 and 7 are missing before 8, though nothing moved in them."""
    gap = gaps("90.00", "8")["sequence"]
    assert gap.numbers == {6, 7}
    assert not gap.is_filled([span("2026-02-28", "90", "90", 7)])
    assert not gap.is_filled([span("2026-02-28", "90", "90", 7), span("2026-02-20", "90", "90", 6)])
    assert gap.is_filled([span("2026-02-28", "90", "90", 7), span("2026-02-28", "90", "90", 6)])


@pytest.mark.parametrize(
    "evidence",
    [
        {}, {"last": {}}, {"last": None, "account": "A"}, {"account": "A", "currency": "EUR", "date": "2026-03-02", "opening": "x",
                                                          "last": {"date": "2026-02-27", "closing": "1"}},
        {"account": "A", "currency": "EUR", "date": "2026-03-02", "last": {"date": "2026-02-27", "closing": "1"}},
        {"account": "A", "currency": "EUR", "date": "2026-03-02", "expected": 6, "sequence": 99999999,
         "last": {"date": "2026-02-27", "closing": "1"}},
    ],
)  # fmt: skip
def test_evidence_that_says_too_little_is_no_gap(evidence: dict[str, Any]) -> None:
    """An exception of an earlier version, or one that a person has noted something on, stays for a person to close."""
    assert Gap.of(evidence) is None
