"""Money and time as people read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from app.widgets import words

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "currency", "exact", "compact"),
    [
        ("12418230.55", "EUR", "12,418,230.55 EUR", "12.4 M EUR"),
        ("-184200", "EUR", "\u2212184,200.00 EUR", "\u2212184.2 k EUR"),
        ("1500000", "JPY", "1,500,000 JPY", "1.5 M JPY"),
        ("12.345", "BHD", "12.345 BHD", "12 BHD"),
        ("0.0051", "EUR", "0.0051 EUR", "0 EUR"),
        ("2500000000", "USD", "2,500,000,000.00 USD", "2.5 B USD"),
    ],
)
def test_amounts(value: str, currency: str, exact: str, compact: str) -> None:
    """Exact amounts keep every digit and the currency's own decimals; compact ones have one decimal and the ISO code."""
    assert words.exact(Decimal(value), currency) == exact
    assert words.compact(Decimal(value), currency) == compact


def test_figures_carry_their_unit_and_sign() -> None:
    """Days, percent and counts are told in their unit; a change has its sign, and one of a share is in percentage points."""
    assert words.figure(Decimal("86.2"), "%") == "86.2 %"
    assert words.figure(Decimal("41.5"), "days") == "41.5 days"
    assert words.figure(Decimal(10214), "count", signed=True) == "+10,214"
    assert words.figure(Decimal("-2.1"), "%", signed=True) == "\u22122.1 pp"
    assert words.figure(Decimal("0.4"), "%", signed=True) == "+0.4 pp"


def test_instants_are_in_the_viewers_zone_and_dates_never_move() -> None:
    """A moment shows the viewer's offset; a business date is the same in every zone."""
    zone = words.zone_named("Asia/Tokyo")
    assert words.instant(datetime(2026, 11, 22, 23, 30, tzinfo=UTC), zone) == "2026-11-23 08:30 +09:00"
    assert words.instant(date(2026, 11, 22), zone) == "2026-11-22"
    assert words.zone_named("Not/AZone") is UTC


def test_spans_and_deadlines() -> None:
    """Lengths of time use their two largest units; what is overdue says so."""
    assert words.span(93_784) == "1 d 2 h"
    assert words.span(0) == "0 s"
    assert words.span(None) == "\u2013"
    assert words.ago(NOW - timedelta(days=4, hours=3), NOW) == "4 d ago"
    assert words.due(NOW - timedelta(hours=2), NOW) == "2 h overdue"
    assert words.due(NOW + timedelta(hours=2), NOW) == "due in 2 h"


def test_data_is_never_markdown() -> None:
    """Markdown in data is shown as it is: no link, no colour, no image, no line of its own."""
    assert words.plain("[x](http://y) :red[z]\n# head $a$") == r"\[x\]\(http\://y\) \:red\[z\] \# head \$a\$"
