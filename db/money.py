"""Money: exact decimals with an ISO 4217 currency, in Python and in Polars; `db.money_column` has the type of a database column.

Nothing here rounds silently: an amount that doesn't fit is refused, never adjusted. Amounts are numeric(19,4)
in the database; a currency's own exponent (0 for JPY, 2 for EUR, 3 for BHD) is checked separately.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

PRECISION = 19
SCALE = 4
AMOUNT = pl.Decimal(PRECISION, SCALE)
"""The Polars type of every amount column."""

_LIMIT = Decimal(10) ** (PRECISION - SCALE)
_STRICT = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
# The same as _STRICT, and at most 15 digits before and 4 after the point once padding zeros are set aside.
_FITTING = r"^[+-]?0*\d{1,15}(\.\d{1,4}0*)?$"

# ISO 4217 in 2026: every active code, by the number of its decimals.
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS = "CLF UYW"
_TWO_DECIMALS = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR
ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV
MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD
SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
"""
_EXPONENTS = {
    code: places
    for codes, places in ((_NO_DECIMALS, 0), (_TWO_DECIMALS, 2), (_THREE_DECIMALS, 3), (_FOUR_DECIMALS, 4))
    for code in codes.split()
}


class MoneyInvalid(ValueError):
    """An amount or a currency that can't be kept as it is; the message quotes it."""


def exponent(currency: str) -> int:
    """How many decimals ISO 4217 gives `currency`; raises MoneyInvalid for a code that it doesn't have."""
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise MoneyInvalid(f"{currency!r} is no ISO 4217 currency code") from None


def currencies() -> frozenset[str]:
    """Every ISO 4217 code that is known here."""
    return frozenset(_EXPONENTS)


def exact(amount: Decimal | int) -> Decimal:
    """`amount` as the Decimal that numeric(19,4) holds exactly; raises MoneyInvalid if there is none."""
    if isinstance(amount, int) and not isinstance(amount, bool):
        amount = Decimal(amount)
    if not isinstance(amount, Decimal):
        raise MoneyInvalid(f"an amount is a Decimal, not {type(amount).__name__} ({amount!r})")
    if not amount.is_finite():
        raise MoneyInvalid(f"{amount} is no amount")
    if abs(amount) >= _LIMIT:
        raise MoneyInvalid(f"{amount} has more than {PRECISION - SCALE} digits before the point")
    if decimals(amount) > SCALE:
        raise MoneyInvalid(f"{amount} has more than {SCALE} decimals and isn't rounded silently")
    return amount


def decimals(amount: Decimal) -> int:
    """How many decimals `amount` really has; trailing zeros don't count."""
    found = amount.normalize().as_tuple().exponent if amount else 0
    return max(0, -int(found))


def parse(text: str) -> Decimal:
    """A decimal number as text ('-12.30'), exactly. No exponent, no grouping, no blanks; else MoneyInvalid."""
    if not _STRICT.fullmatch(text):
        raise MoneyInvalid(f"{text!r} is no plain decimal number")
    return exact(Decimal(text))


@dataclass(frozen=True)
class Money:
    """An exact amount in one currency. Adding two currencies raises; so do more decimals than the currency has."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if decimals(exact(self.amount)) > exponent(self.currency):
            raise MoneyInvalid(f"{self.amount} {self.currency}: the currency has {exponent(self.currency)} decimals")

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other).amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other).amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __str__(self) -> str:
        return f"{self.amount:,.{exponent(self.currency)}f} {self.currency}"

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise MoneyInvalid(f"{self.currency} and {other.currency} don't add up without a rate")
        return other


def parse_amount(text: pl.Expr) -> pl.Expr:
    """Decimal text as AMOUNT, exactly; null where it is no plain decimal number or doesn't fit numeric(19,4)."""
    fits = text.str.contains(_FITTING)
    # Zeros beyond the fourth decimal carry nothing, and the cast would round only what they don't hide.
    return pl.when(fits).then(text.str.strip_prefix("+")).otherwise(None).cast(AMOUNT, strict=False)


def fits_currency(amount: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """Whether an AMOUNT has no more decimals than its currency allows; False for unknown codes, null for nulls."""
    digits = currency.replace_strict(_EXPONENTS, default=None, return_dtype=pl.Int32)
    checks = pl.lit(False)
    for places in sorted(set(_EXPONENTS.values())):
        checks = pl.when(digits == places).then(_has_at_most(amount, places)).otherwise(checks)
    return pl.when(amount.is_null() | currency.is_null()).then(None).otherwise(checks)


def _has_at_most(amount: pl.Expr, places: int) -> pl.Expr:
    if places >= SCALE:
        return pl.lit(True)
    return amount.cast(pl.String).str.contains(rf"\.\d{{{places}}}0{{{SCALE - places}}}$")
