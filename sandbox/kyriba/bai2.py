"""A bank's closed day as a BAI2 file: one group, an account each, and trailers with the sums and counts of what they close.

Amounts are in the currency's minor unit and bare; a transaction's direction is its type code's. A control total is the sum of the amounts
below it as they stand; a number of records counts every line from the header to the trailer, both included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sandbox.world.model import BankLine
from sandbox.world.reference import EXPONENT, BankAccount

BANK, CUSTOMER = "021000021", "MERIDIANUS"
CODES = {"RCDT": ("195", "495"), "ICDT": ("195", "495"), "RRTN": ("257", "557")}
"""Kind of line -> the type codes of its credit and its debit: wire transfers, and returned items."""


@dataclass(frozen=True, slots=True)
class Day:
    """One account's closed day: opening plus lines is closing."""

    account: BankAccount
    opening: Decimal
    closing: Decimal
    lines: Sequence[BankLine]


def render_bai2(days: Sequence[Day], number: int, day: date, *, made_at: datetime) -> bytes:
    """The accounts' statements of `day`, file `number` of their bank."""
    accounts = [_account(each) for each in days]
    total = sum(amount for amount, _ in accounts)
    inner = [line for _, lines in accounts for line in lines]
    text = [
        f"01,{BANK},{CUSTOMER},{made_at:%y%m%d,%H%M},{number},,,2/",
        f"02,{CUSTOMER},{BANK},1,{day:%y%m%d},2359,USD,2/",
        *inner,
        f"98,{total},{len(accounts)},{len(inner) + 2}/",
        f"99,{total},1,{len(inner) + 4}/",
    ]
    return ("\r\n".join(text) + "\r\n").encode("ascii", "replace")


def _account(day: Day) -> tuple[int, list[str]]:
    """Its control total and its records, the trailer among them."""
    currency = day.account.currency
    amounts = [_minor(line.amount, currency) for line in day.lines]
    into, out = [each for each in amounts if each > 0], [-each for each in amounts if each < 0]
    opening, closing = _minor(day.opening, currency), _minor(day.closing, currency)
    head = f"03,{day.account.number},{currency},010,{opening},,,015,{closing},,/"
    sums = f"88,100,{sum(into)},{len(into)},,400,{sum(out)},{len(out)},/"
    body = [part for line, amount in zip(day.lines, amounts, strict=True) for part in _transaction(line, amount)]
    total = opening + closing + 2 * (sum(into) + sum(out))
    return total, [head, sums, *body, f"49,{total},{len(body) + 3}/"]


def _transaction(line: BankLine, amount: int) -> list[str]:
    """A transaction with its value date, the bank's reference and the customer's, and a continuation with what the payer has said."""
    code = CODES[line.code][amount < 0]
    said = f"{line.counterparty} {line.structured or line.remittance}".replace("/", " ").strip()
    return [f"16,{code},{abs(amount)},V,{line.value_date:%y%m%d},,{line.reference},{line.end_to_end}/", f"88,{said}/"]


def _minor(amount: Decimal, currency: str) -> int:
    return int(amount.scaleb(EXPONENT.get(currency, 2)))
