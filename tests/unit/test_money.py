"""Money: exact, refused rather than adjusted, the same in Python and in Polars."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from db.money import AMOUNT, Money, MoneyInvalid, currencies, decimals, exact, exponent, fits_currency, parse, parse_amount
from db.money_column import Amount

amounts = st.decimals(min_value=-(10**15) + 1, max_value=10**15 - 1, places=4, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("text", ["NaN", "inf", "-Infinity", "1e3", "1,000.00", " 1", "1 ", "", "1.", ".5", "--1", "0x10", "1_000", "١"])
def test_what_is_no_plain_decimal_number_is_refused(text: str) -> None:
    """NaN, infinities, exponents, grouping, blanks and foreign digits are no amounts."""
    with pytest.raises(MoneyInvalid):
        parse(text)


@pytest.mark.parametrize("text", ["1.00005", "1000000000000000", "-1000000000000000.0000"])
def test_what_does_not_fit_is_refused_not_rounded(text: str) -> None:
    """A fifth decimal or a sixteenth digit before the point is an error."""
    with pytest.raises(MoneyInvalid):
        parse(text)


@given(amounts)
def test_text_and_back_is_exact(amount: Decimal) -> None:
    """Every amount of numeric(19,4) survives being written and read, in Python and in Polars."""
    text = f"{amount:f}"
    assert parse(text) == amount
    frame = pl.DataFrame({"text": [text]}).select(parse_amount(pl.col("text")))
    assert frame.schema["text"] == AMOUNT
    assert frame.item() == amount


@given(st.text(alphabet="0123456789+-.eN ", max_size=24))
def test_polars_accepts_what_python_accepts(text: str) -> None:
    """The vectorised parser and the plain one agree on every text."""
    try:
        expected = parse(text)
    except MoneyInvalid:
        expected = None
    assert pl.DataFrame({"text": [text]}).select(parse_amount(pl.col("text"))).item() == expected


@given(amounts, st.sampled_from(["JPY", "EUR", "BHD", "CLF", "XXX", "eur"]))
def test_polars_checks_decimals_as_python_does(amount: Decimal, currency: str) -> None:
    """More decimals than the currency has, or an unknown currency, doesn't fit."""
    expected = currency in currencies() and decimals(amount) <= exponent(currency)
    frame = pl.DataFrame({"amount": pl.Series([amount], dtype=AMOUNT), "currency": [currency]})
    assert frame.select(fits_currency(pl.col("amount"), pl.col("currency"))).item() is expected


def test_unknown_amount_or_currency_is_unknown_fit() -> None:
    """Nulls are neither fitting nor unfitting."""
    frame = pl.DataFrame({"amount": pl.Series([None, Decimal(1)], dtype=AMOUNT), "currency": ["EUR", None]})
    assert frame.select(fits_currency(pl.col("amount"), pl.col("currency"))).to_series().to_list() == [None, None]


def test_money_has_the_decimals_of_its_currency() -> None:
    """Yen have none, euros two, dinars three; currencies don't mix."""
    assert str(Money(Decimal("1234567.5"), "EUR")) == "1,234,567.50 EUR"
    assert Money(Decimal("1.10"), "EUR") + Money(Decimal("2.20"), "EUR") == Money(Decimal("3.30"), "EUR")
    assert Money(Decimal("1.001"), "BHD").amount == Decimal("1.001")
    for amount, currency in (("0.5", "JPY"), ("0.001", "EUR"), ("1", "QQQ")):
        with pytest.raises(MoneyInvalid):
            Money(Decimal(amount), currency)
    with pytest.raises(MoneyInvalid, match="rate"):
        Money(Decimal(1), "EUR") + Money(Decimal(1), "USD")


@pytest.mark.parametrize("value", [1.5, True, "1.50", Decimal("NaN"), Decimal("Infinity"), Decimal("1.00001")])
def test_columns_refuse_what_postgres_would_take_or_round(value: object) -> None:
    """The column type refuses floats, text, NaN, infinities and a fifth decimal before they are sent."""
    bind = Amount().bind_processor(postgresql.dialect())  # type: ignore[no-untyped-call]
    assert bind is not None
    with pytest.raises(MoneyInvalid):
        bind(value)  # type: ignore[arg-type]


def test_columns_take_whole_numbers_and_null() -> None:
    """An int is as exact as a Decimal, and null stays null."""
    assert exact(3) == Decimal(3)
    assert Amount().process_bind_param(None, postgresql.dialect()) is None  # type: ignore[no-untyped-call]
    assert isinstance(Amount().load_dialect_impl(postgresql.dialect()), sa.Numeric)  # type: ignore[no-untyped-call]
