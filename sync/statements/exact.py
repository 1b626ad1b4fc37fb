"""A balance's amount and date, exactly; an entry's are read by column, by the same rules."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from db.money import MoneyInvalid, exact, exponent, parse
from sync.statements.model import Balance, Statement, refuse

SIGNS = {"CRDT": 1, "DBIT": -1}


def decimal_of(text: str, currency: str, statement: Statement, **about: object) -> Decimal:
    """`text` as an amount of `currency`, never rounded, never negative. Refuses with bad_amount or bad_currency."""
    try:
        amount = parse(text)
    except MoneyInvalid:
        refuse("bad_amount", f"the amount {text!r} can't be read exactly", statement, amount=text, currency=currency, **about)
    if amount < 0:
        refuse("bad_amount", f"the amount {text!r} has a sign of its own", statement, amount=text, currency=currency, **about)
    try:
        places = exponent(currency)
    except MoneyInvalid as error:
        refuse("bad_currency", str(error), statement, amount=text, currency=currency, **about)
    if amount != round(amount, places):
        refuse("bad_amount", f"{text} has more decimals than {currency} has", statement, amount=text, currency=currency, **about)
    return exact(amount)


def signed(balance: Balance, statement: Statement) -> Decimal:
    """The balance's amount, credit positive."""
    sign = SIGNS.get(balance.direction)
    if sign is None:
        words = f"the balance's direction is {balance.direction!r}, neither CRDT nor DBIT"
        refuse("bad_value", words, statement, balance=balance.code, direction=balance.direction)
    return sign * decimal_of(balance.amount, balance.currency, statement, balance=balance.code)


def day_of(text: str, statement: Statement) -> date:
    """The date at the beginning of `text`; a business date is never shifted by a time or a zone behind it."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        refuse("bad_date", f"the date {text!r} does not exist", statement, date=text)
