"""The variance bridge and the synchronisation share add up exactly, whatever the facts."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics import forecast, variance

WINDOW = (date(2026, 1, 5), date(2026, 1, 18))
_amounts = st.decimals(min_value=-5000, max_value=5000, places=2)
_days = st.integers(-10, 30).map(lambda n: date(2026, 1, 1) + timedelta(days=n))
_rates = st.sampled_from([Decimal(1), Decimal("0.8912"), Decimal("1.2345678")])


def _reporting(amount: Decimal, rate: Decimal) -> Decimal:
    return (amount * rate).quantize(Decimal("0.0001"))


@st.composite
def _lines(draw: st.DrawFn) -> pl.DataFrame:
    rows = []
    for item in draw(st.sets(st.integers(0, 8), max_size=7)):
        amount, day = draw(_amounts), draw(_days)
        rows.append(
            {"source": "erp", "item_key": f"I{item}", "region": "EMEA", "category": "receivable", "expected_date": day, "early_date": day,
             "late_date": day, "amount": amount, "currency": draw(st.sampled_from(["EUR", "USD"])),
             "amount_reporting": _reporting(amount, draw(_rates)), "confidence": "estimated"}
        )  # fmt: skip
    return pl.DataFrame(rows, schema=forecast.LINES)


@st.composite
def _actuals(draw: st.DrawFn) -> pl.DataFrame:
    rows = []
    for record in range(draw(st.integers(0, 12))):
        amount = draw(_amounts)
        rows.append(
            {"source": "erp", "entity": "payment_application", "record_key": f"R{record}", "item_key": f"I{draw(st.integers(0, 11))}",
             "region": "EMEA", "on_date": draw(_days), "amount": amount, "currency": draw(st.sampled_from(["EUR", "USD"])),
             "amount_reporting": _reporting(amount, draw(_rates)), "raw_record_id": record}
        )  # fmt: skip
    return pl.DataFrame(rows, schema=variance.ACTUALS)


@settings(max_examples=80, deadline=None)
@given(_lines(), _actuals())
def test_the_bridge_adds_up_exactly(lines: pl.DataFrame, actuals: pl.DataFrame) -> None:
    """Timing, fx, rest, unforecast and missed are the whole difference between actual and forecast, to the last decimal."""
    found = variance.bridge(lines, actuals, WINDOW)
    assert sum(found.causes.values()) == found.actual - found.forecast
    assert sum(found.items["actual"]) == found.actual
    assert sum(found.items["forecast"]) == found.forecast
    for row in found.items.iter_rows(named=True):
        assert sum(row[cause] for cause in variance.CAUSES) == row["actual"] - row["forecast"]


@settings(max_examples=50, deadline=None)
@given(_actuals(), _actuals(), _lines(), _lines())
def test_the_sync_share_is_the_sum_of_its_records(seen: pl.DataFrame, real: pl.DataFrame, made: pl.DataFrame, due: pl.DataFrame) -> None:
    """The variance as known less the variance without delay equals the contributions of the late records, exactly."""
    found = variance.sync_share(seen, real, made, due, WINDOW)
    assert sum(found.contributions["amount"]) == found.amount
    no_delay = variance.sync_share(real, real, due, due, WINDOW)
    assert no_delay.amount == 0
    assert no_delay.contributions.is_empty()


def _one_line(amount: str, day: date) -> pl.DataFrame:
    row = {"source": "erp", "item_key": "I1", "region": "EMEA", "category": "receivable", "expected_date": day, "early_date": day,
           "late_date": day, "amount": Decimal(amount), "currency": "EUR", "amount_reporting": Decimal(amount), "confidence": "estimated"}  # fmt: skip
    return pl.DataFrame([row], schema=forecast.LINES)


def _payments(*paid: tuple[str, date]) -> pl.DataFrame:
    rows = [
        {"source": "erp", "record_key": f"P{number}", "item_key": "I1", "on_date": day, "amount": Decimal(amount), "currency": "EUR",
         "amount_reporting": Decimal(amount), "raw_record_id": number}
        for number, (amount, day) in enumerate(paid)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=variance.ACTUALS)


def test_each_cause_is_named() -> None:
    """Late money is timing, a short payment is missed, more than expected is rest, a stranger's is unforecast."""
    inside, after = date(2026, 1, 10), date(2026, 2, 10)
    cases = [
        (_one_line("100", inside), _payments(("100", after)), {"timing": -100}),
        (_one_line("100", after), _payments(("100", inside)), {"timing": 100}),
        (_one_line("100", inside), _payments(("60", inside)), {"missed": -40}),
        (_one_line("100", inside), _payments(("60", inside), ("50", inside)), {"rest": 10}),
        (_one_line("100", inside), _payments(), {"missed": -100}),
        (_one_line("100", inside).clear(), _payments(("70", inside)), {"unforecast": 70}),
    ]
    for lines, actuals, expected in cases:
        causes = variance.bridge(lines, actuals, WINDOW).causes
        assert {cause: amount for cause, amount in causes.items() if amount} == expected


def test_accuracy_by_its_formulas() -> None:
    """WAPE and bias are weighted by actuals; MAPE is missing where an actual is 0; nothing divides by 0."""
    pairs = pl.DataFrame({"forecast": [Decimal(90), Decimal(120)], "actual": [Decimal(100), Decimal(100)]})
    assert variance.accuracy(pairs) == variance.Accuracy(0.15, 0.05, 0.15, 2)
    with_zero = pl.DataFrame({"forecast": [Decimal(10), Decimal(100)], "actual": [Decimal(0), Decimal(100)]})
    assert variance.accuracy(with_zero).mape is None
    assert variance.accuracy(pairs.clear()).wape is None
