"""Money on its way to a page: exact to its currency's minor units."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from app.desk import Amount
from db.money import currencies, exponent


def shown(value: Decimal, currency: str) -> Amount:
    """`value` in `currency`, rounded to the currency's minor units: converted amounts carry more digits than anybody can pay."""
    places = exponent(currency) if currency in currencies() else 2
    return Amount(value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN), currency)
