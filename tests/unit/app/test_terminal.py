"""How the command line reads times and writes numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import typer

from app.terminal import moment, table, to_json


def test_decimals_leave_as_numbers_with_their_own_digits() -> None:
    """No cent is lost and no digit is made up on the way into JSON."""
    text = to_json({"value": Decimal("1234567890123.10"), "day": date(2026, 1, 2), "none": None})
    assert '"value": 1234567890123.10' in text
    assert '"day": "2026-01-02"' in text


def test_a_date_means_its_end_and_a_naive_time_is_refused() -> None:
    """2026-01-02 counts as known at the end of that day, UTC; a time must name its offset."""
    assert moment("2026-01-02") == datetime(2026, 1, 2, 23, 59, 59, 999999, UTC)
    assert moment("2026-01-02T10:00:00+02:00") == datetime(2026, 1, 2, 8, tzinfo=UTC)
    with pytest.raises(typer.BadParameter, match="time zone"):
        moment("2026-01-02T10:00:00")


def test_a_table_lines_its_columns_up() -> None:
    """Every column is as wide as its widest cell."""
    assert table([{"a": "x", "b": 1}, {"a": "long", "b": 22}]) == "  a     b\n  x     1\n  long  22"


def test_words_at_the_end_of_a_line_are_never_cut() -> None:
    """What is missing is said to its end; columns before the last stay narrow."""
    [_, line] = table([{"what": "w" * 80, "words": "because " * 20}]).split("\n")
    assert line == f"  {'w' * 60}  {('because ' * 20).rstrip()}"
