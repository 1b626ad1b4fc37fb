"""BAI2 as it stands in the file: groups, accounts, balances and transactions, every count and total of the file checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

from db.money import MoneyInvalid, exponent
from sync.statements.bai2_records import Record, records, summaries, transaction
from sync.statements.lines import clean, lines
from sync.statements.model import Balance, Declared, Detail, Entry, Kind, Sink, Statement, Total, refuse

BALANCES = {"010": "OPBD", "015": "CLBD", "030": "ITBD", "040": "OPAV", "045": "CLAV", "060": "ITAV"}
_TOTALS = {"100": "CRDT", "400": "DBIT"}
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_INTERIM = ("1", "3")
_LEVELS = {"01": 0, "02": 1, "03": 2, "16": 3, "49": 3, "98": 2, "99": 1}
"""At which level each record may stand."""
_LOAN_CREDITS = range(700, 760)
_NOT_MONEY = 890


@dataclass(slots=True)
class _Sum:
    """What a level holds: the sum of its amounts, its records by the format's count, and what it contains."""

    amount: int = 0
    records: int = 0
    parts: int = 0


def read(body: bytes, sink: Sink) -> None:
    """Every account of the file. Raises DataError: file_unreadable, bad_amount, bad_currency, bad_date, bad_value."""
    reader = _Reader(sink)
    for record in records(lines(body)):
        reader.record(record)
    reader.close()


class _Reader:
    """Takes records in their order. A level that is not closed, or closed twice, refuses the file: it is cut or mixed."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._takes: dict[str, Callable[[Record], None]] = {
            "01": self._header, "02": self._open_group, "03": self._open_account, "16": self._transaction, "49": self._close_account,
            "98": self._close_group, "99": self._close_file,
        }  # fmt: skip
        self._file, self._group, self._account = _Sum(), _Sum(), _Sum()
        self._level = 0  # 0 outside, 1 in the file, 2 in a group, 3 in an account
        self._made: str | None = None
        self._sender = self._currency = self._as_of = ""
        self._kind: Kind = "statement"
        self._statement = Statement("BAI2")
        self._subject = ""
        self._files = self._accounts = 0

    def record(self, record: Record) -> None:
        if self._level != _LEVELS[record.code]:
            refuse("file_unreadable", f"record {record.code} in line {record.line} stands out of its order: the file is cut or mixed",
                   line=record.line, record=record.code)  # fmt: skip
        self._takes[record.code](record)

    def close(self) -> None:
        """The file is over."""
        if self._level != 0 or not self._files:
            refuse("file_unreadable", "the file has no end (99): it is cut", accounts=self._accounts)
        if not self._accounts:
            refuse("file_unreadable", "the file holds no account (03)")

    def _header(self, record: Record) -> None:
        fields = [*record.fields(), *[""] * 8]
        self._made = _stamp(fields[2], fields[3])
        self._file = _Sum(records=record.physical)
        self._level = 1
        self._files += 1

    def _open_group(self, record: Record) -> None:
        fields = [*record.fields(), *[""] * 8]
        receiver, originator, status, as_of, _, currency, modifier = fields[:7]
        if status in ("2", "4"):
            words = "asks to delete what was sent before" if status == "2" else "is a test"
            refuse("bad_value", f"the group of {originator or receiver} {words}: it is not carried out by itself", status=status)
        self._sender = originator
        self._currency = currency.upper() or "USD"
        self._as_of = _day(as_of)
        self._kind = "report" if modifier in _INTERIM else "statement"
        self._group = _Sum(records=record.physical)
        self._level = 2

    def _open_account(self, record: Record) -> None:
        fields = record.fields()
        currency = (fields[1] if len(fields) > 1 else "").upper() or self._currency
        statement = Statement(
            "BAI2", self._kind, id=f"{self._sender} {self._as_of}".strip(), account=clean(fields[0]), currency=currency,
            bank=self._sender or None, created=self._made or self._as_of, elements={"01", "02", "03", "49", "98", "99"},
        )  # fmt: skip
        self._statement = statement
        self._subject = statement.subject
        self._account = _Sum(records=record.physical)
        self._level = 3
        self._accounts += 1
        self._sink.begin(statement)
        for each in summaries(record):
            if not re.fullmatch(r"\d{3}", each.code):
                refuse("bad_value", f"{each.code!r} is no type code", statement, code=each.code)
            if not each.amount:
                continue
            value = self._whole(each.amount)
            self._account.amount += value
            if each.code in BALANCES:
                side = "DBIT" if value < 0 else "CRDT"
                statement.balances.append(Balance(BALANCES[each.code], self._money(abs(value)), currency, side, self._as_of))
            elif each.code in _TOTALS:
                statement.declared.append(Declared(_TOTALS[each.code], each.count or None, self._money(abs(value)), currency))

    def _transaction(self, record: Record) -> None:
        statement = self._statement
        statement.elements.add("16")
        found = transaction(record)
        self._account.records += record.physical
        if not re.fullmatch(r"\d{3}", found.code):
            refuse("bad_value", f"{found.code!r} is no type code", statement, code=found.code)
        if not found.amount.strip("0") and int(found.code) == _NOT_MONEY:
            return
        value = self._whole(found.amount)
        self._account.amount += value
        text = clean(found.text)
        side = self._side(int(found.code))
        detail = Detail(end_to_end_id=clean(found.customer_reference) or None, remittance=text or None)
        self._sink.entry(
            Entry(
                amount=self._money(abs(value)),
                currency=statement.currency or "",
                direction=side if value >= 0 else {"CRDT": "DBIT", "DBIT": "CRDT"}[side],
                status="BOOK",
                booking_date=self._as_of,
                value_date=_day(found.value_date, statement) if found.value_date else self._as_of if found.funds == "0" else None,
                reference=clean(found.bank_reference) or None,
                bank_code=found.code,
                number=clean(found.customer_reference) or None,
                details=(detail,),
            )
        )

    def _close_account(self, record: Record) -> None:
        self._account.records += record.physical
        self._check(f"account {self._subject} (49)", record, self._account, parts=False, currency=self._statement.currency)
        self._group.amount += self._account.amount
        self._group.records += self._account.records
        self._group.parts += 1
        self._level = 2
        self._sink.end()

    def _close_group(self, record: Record) -> None:
        self._group.records += record.physical
        self._check(f"group of {self._sender or '?'} {self._as_of} (98)", record, self._group, parts=True)
        self._file.amount += self._group.amount
        self._file.records += self._group.records
        self._file.parts += 1
        self._level = 1

    def _close_file(self, record: Record) -> None:
        self._file.records += record.physical
        self._check("file (99)", record, self._file, parts=True)
        self._level = 0

    def _check(self, subject: str, record: Record, found: _Sum, *, parts: bool, currency: str | None = None) -> None:
        """Holds a trailer against what was counted: its total, its records, and of how many parts it is the sum."""
        total, *rest = record.fields()
        if total and not _WHOLE.fullmatch(total):
            refuse("bad_amount", f"the total {total!r} of {subject} can't be read", total=total, line=record.line)
        counts = [_count(each) for each in rest[: 2 if parts else 1]]
        if None in counts or len(counts) < (2 if parts else 1):
            refuse("file_unreadable", f"{subject} does not say how many records there are: the file is cut", line=record.line)
        declared = computed = None
        if total:  # some banks leave it blank: the counts and the total of the next level still hold the record
            declared, computed = (
                Decimal(self._money(each, currency)) if currency else Decimal(each) for each in (int(total), found.amount)
            )
        self._sink.total(Total(subject, "totals", currency, counts[-1], found.records, declared, computed))
        if parts:
            self._sink.total(Total(f"parts of {subject}", "totals", None, counts[0], found.parts))

    def _whole(self, text: str) -> int:
        if not _WHOLE.fullmatch(text):
            refuse("bad_amount", f"the amount {text!r} is no whole number of the smallest unit", self._statement, amount=text)
        return int(text)

    def _money(self, whole: int, currency: str | None = None) -> str:
        """An amount in minor units as decimal text, by its currency's own decimals."""
        currency = currency or self._statement.currency or ""
        try:
            places = _places(currency)
            digits = str(abs(whole)).rjust(places + 1, "0")
            text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
            return f"-{text}" if whole < 0 else text
        except MoneyInvalid as error:
            refuse("bad_currency", str(error), self._statement, currency=currency)

    def _side(self, code: int) -> str:
        """Which way the money went. 1xx to 3xx come in, 4xx to 6xx go out; loans and a bank's own codes by their ranges."""
        if 100 < code < 400 or code in _LOAN_CREDITS or 920 <= code <= 959:
            return "CRDT"
        if not (400 < code < 700 or code == 760 or 960 <= code <= 999):
            refuse("bad_value", f"type code {code:03d} does not say whether money came or went", self._statement, code=f"{code:03d}")
        return "DBIT"


_places = lru_cache(maxsize=512)(exponent)


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _day(text: str, statement: Statement | None = None) -> str:
    """YYMMDD, or YYYYMMDD as some banks write it."""
    found = _existing(text.strip())
    if found is None:
        refuse("bad_date", f"the date {text!r} does not exist", statement, date=text)
    return found


@lru_cache(maxsize=4096)
def _existing(plain: str) -> str | None:
    """A file has many lines and few days."""
    if len(plain) == 6 and plain.isascii() and plain.isdigit():
        plain = ("19" if plain[:2] >= "80" else "20") + plain
    try:
        return date.fromisoformat(f"{plain[:4]}-{plain[4:6]}-{plain[6:]}").isoformat()
    except ValueError:
        return None


def _stamp(day: str, time: str) -> str | None:
    """When the file was made, local; 2400 and 9999 are the end of the day. None where the file names no day."""
    if not day:
        return None
    plain = _day(day)
    clock = time.replace(":", "").strip() or "9999"
    if clock in ("2400", "9999"):
        return f"{date.fromisoformat(plain) + timedelta(days=1)}T00:00:00"
    if not re.fullmatch(r"([01]\d|2[0-3])[0-5]\d([0-5]\d)?", clock, re.ASCII):
        refuse("bad_time", f"the time {time!r} does not exist", time=time)
    return f"{plain}T{clock[:2]}:{clock[2:4]}:{clock[4:6] or '00'}"
