"""Single fields of MT940 and MT942. Where a field can't be read the file is refused: no field is ever read as nothing."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache

from sync.statements.lines import clean
from sync.statements.model import Balance, Declared, Entry, Statement, refuse

_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_BALANCE = re.compile(r"(?P<side>[CD])(?P<day>\d{6}|null|)(?P<currency>[A-Z]{3})(?P<amount>[\d,]+)")
_LINE = re.compile(
    r"(?P<day>\d{6}|null)(?P<entry>\d{4}|null| {1,4})?(?P<mark>R[CD]|E[CD]|[CD]R?)(?P<funds>[A-Z])?(?P<amount>\d[\d,]*|,\d+)"
    r"(?P<kind>[NSFnsf].{0,3})?(?P<reference>.*)",
    re.DOTALL,
)
_DECLARED = re.compile(r"(?P<count>\d{1,5})(?P<currency>[A-Z]{3})(?P<amount>[\d,]+)")
_MOMENT = re.compile(r"(\d{6})(\d{4})([+-]\d{4})?")
_NOTHING = ("NONREF", "NOREF", "NULL", "")
_MAX_DIGITS = 5
_YEAR_AWAY = timedelta(days=200)


def account_of(text: str) -> tuple[str, str | None, str | None]:
    """(account, IBAN, currency) of `:25:`: an IBAN with or without a bank's code before it, or the bank's own number. A currency may
    stand behind either.
    """
    plain = text.replace(" ", "").upper()
    for found in _IBAN.finditer(plain):
        for iban, currency in ((found[0], None), (found[0][:-3], found[0][-3:])):
            if is_iban(iban):
                return iban, iban, currency if currency and currency.isalpha() else _trailing_currency(plain.partition(iban)[2])
    currency = _trailing_currency(text.strip())
    own = text.strip()[: -len(currency)].rstrip("/ ") if currency else text.strip()
    return own, None, currency


def _trailing_currency(text: str) -> str | None:
    found = re.search(r"(?:^|[\d/ ])([A-Z]{3})$", text.strip())
    return found[1] if found else None


def is_iban(text: str) -> bool:
    """Whether `text`, in capitals and without blanks, is an IBAN by its length and check digits."""
    if _IBAN.fullmatch(text) is None:
        return False
    turned = text[4:] + text[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def number(text: str) -> tuple[str | None, int | None]:
    """(statement number, page) of `:28C:`, the first without leading zeros; None where it is no number, or 0 for banks that give none."""
    statement, _, page = text.partition("/")
    plain = statement.lstrip("0") if statement.isascii() and statement.isdigit() else ""
    return (plain or None), int(page) if page.isascii() and page.isdigit() and len(page) <= _MAX_DIGITS else None


def amount(text: str) -> str:
    """`1234,5` -> `1234.5`; `1234,` -> `1234`; `,5` -> `0.5`. Anything else comes back as it is and is refused where it is counted."""
    whole, comma, part = text.partition(",")
    if not comma:
        return text
    return f"{whole or '0'}.{part}" if part else whole or text


def day(text: str, statement: Statement) -> str:
    """`160229` -> `2016-02-29`: years 80 to 99 are the last century's. Refused where it does not exist."""
    found = _existing(text)
    if found is None:
        refuse("bad_date", f"the date {text!r} does not exist", statement, date=text)
    return found


@lru_cache(maxsize=4096)
def _existing(text: str) -> str | None:
    """A file has many lines and few days."""
    century = "19" if text[:2] >= "80" else "20"
    plain = f"{century}{text[:2]}-{text[2:4]}-{text[4:6]}"
    try:
        return date.fromisoformat(plain).isoformat()
    except ValueError:
        return None


def balance(code: str, text: str, statement: Statement) -> Balance:
    """A balance field: `C160229EUR1200,00`. Without a currency it is refused, for then its digits can't be told from its amount."""
    found = _BALANCE.fullmatch(text.replace(" ", ""))
    if found is None:
        if re.fullmatch(r"[CD]\d{6}[\d,]+", text):
            refuse("bad_currency", f"the balance {text!r} names no currency", statement, balance=text)
        refuse("bad_amount", f"the balance {text!r} can't be read", statement, balance=text)
    if not found["day"].isdigit():
        refuse("bad_date", f"the balance {text!r} has no date", statement, balance=text)
    return Balance(
        code, amount(found["amount"]), found["currency"], "CRDT" if found["side"] == "C" else "DBIT", day(found["day"], statement)
    )


def line(words: list[str], statement: Statement) -> Entry:
    """`:61:`: `1009040904RCR204,88NRTINONREF//BANKREF` and, on the lines below, what the bank adds. RC takes money, RD gives it back."""
    found = _LINE.fullmatch(words[0].strip())
    if found is None:
        refuse("bad_value", f"the line {words[0][:80]!r} can't be read", statement, line=words[0][:200])
    if not found["kind"] and found["reference"][:1] in (".", "'"):
        refuse(
            "bad_amount",
            f"the amount of {words[0][:40]!r} can't be read: its decimals stand behind a comma",
            statement,
            line=words[0][:200],
        )
    mark = found["mark"]
    if mark in ("CR", "DR"):
        mark = mark[0]  # the third letter of EUR, not a reversal
    side = mark[-1]
    is_reversal = mark.startswith("R")
    credit = (side == "C") != is_reversal
    kind, reference = _kind_and_reference(found["kind"] or "", found["reference"])
    customer, _, bank = reference.partition("//")
    value = day(found["day"], statement) if found["day"].isdigit() else None
    return Entry(
        amount=amount(found["amount"]),
        currency="",
        direction="CRDT" if credit else "DBIT",
        status="PDNG" if mark.startswith("E") else "BOOK",
        booking_date=_entry_day(found["entry"], value, statement) or value,
        value_date=value,
        reference=_given(bank),
        bank_code=kind or None,
        is_reversal=is_reversal,
        number=_given(customer),
        text=clean(" ".join(words[1:])) or None,
    )


def _kind_and_reference(kind: str, reference: str) -> tuple[str, str]:
    """The code has four characters; banks that give three begin the reference with the fourth."""
    if (len(kind) == 4 and kind[1:].isalnum()) or not kind:
        return kind.upper(), reference
    plain = re.match(r"[NSFnsf][A-Za-z0-9]{0,3}", kind)
    length = plain.end() if plain else 0
    return kind[:length].upper(), kind[length:] + reference


def _given(text: str) -> str | None:
    plain = clean(text)
    return None if plain.upper() in _NOTHING else plain


def _entry_day(text: str | None, value: str | None, statement: Statement) -> str | None:
    """The booking date has no year: of the years around the value date the one that brings it nearest."""
    if text is None or not text.isdigit() or value is None:
        return None
    found = _nearest(text, value)
    if found is None:
        refuse("bad_date", f"the booking date {text!r} does not exist", statement, date=text)
    return found


@lru_cache(maxsize=4096)
def _nearest(text: str, value: str) -> str | None:
    near = date.fromisoformat(value)
    found: list[tuple[timedelta, str]] = []
    for year in (near.year - 1, near.year, near.year + 1):
        plain = f"{year}-{text[:2]}-{text[2:]}"
        try:
            found.append((abs(date.fromisoformat(plain) - near), plain))
        except ValueError:
            continue
    away, nearest = min(found, default=(_YEAR_AWAY, ""))
    return nearest if away < _YEAR_AWAY else None  # a 29 February that only another year has


def floor(text: str) -> str | None:
    """The currency of `:34F:EURD0,00`, the amount from which on the bank reports a line."""
    return text[:3] if re.match(r"[A-Z]{3}[DC]?[\d,]", text) else None


def declared(direction: str, text: str, statement: Statement) -> Declared:
    """`:90D:1EUR2,30`: how many debits there are, and their sum."""
    found = _DECLARED.fullmatch(text.replace(" ", ""))
    if found is None:
        refuse("bad_value", f"the total {text!r} can't be read", statement, total=text)
    return Declared(direction, found["count"], amount(found["amount"]), found["currency"])


def moment(text: str) -> str | None:
    """`1610301730+0000` as ISO 8601; None where it can't be read, for a statement's balances name a day too."""
    found = _MOMENT.fullmatch(text.strip())
    if found is None:
        return None
    stamp = f"20{found[1][:2]}-{found[1][2:4]}-{found[1][4:]}T{found[2][:2]}:{found[2][2:]}:00"
    return f"{stamp}{found[3][:3]}:{found[3][3:]}" if found[3] else stamp
