"""The records of a BAI2 file: continuations joined, several on one line parted, a missing slash at the end no matter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sync.statements.lines import LONGEST
from sync.statements.model import refuse

CODES = ("01", "02", "03", "16", "49", "88", "98", "99")
# A slash ends a record, and may stand in a payer's text too: only what then reads as a record begins one.
_NEXT = re.compile(
    r"/\s*(?=01,[^,/]*,[^,/]*,\d|02,[^,/]*,[^,/]*,\d|03,[^,/]+,|16,\d{3},-?\d*,|88,|49,[+-]?\d*,\d+|98,[+-]?\d*,\d+,\d+|99,[+-]?\d*,\d+,\d+)"
)
_LENGTH = re.compile(r"\s*01,(?:[^,/]*,){5}(\d{2,5}),")
_ZERO_FUNDS = {"S": 3, "V": 2}
_FUNDS = frozenset(("", "0", "1", "2", "Z", "S", "V", "D"))
_LIKE_RECORD = re.compile(r"\d\d,")
_CODE = re.compile(r"\d{3}")
_AMOUNT = re.compile(r"[+-]?\d*")


@dataclass(slots=True)
class Record:
    """A record and its continuations. `parts`: the text of each without its code."""

    code: str
    parts: list[str] = field(default_factory=list)
    line: int = 0

    @property
    def physical(self) -> int:
        """How many records it is by the format's own count."""
        return len(self.parts)

    def fields(self) -> list[str]:
        """All fields, those of the continuations after the record's own."""
        return [each.strip() for part in self.parts for each in part.split(",")]


def records(lines: Iterable[str]) -> Iterator[Record]:
    """The records in their order, each with its continuations. Refuses (file_unreadable) what is no record."""
    current: Record | None = None
    is_open = False  # the text of a transaction whose slash has not come yet: a bank may break it where its lines end
    for number, piece in _pieces(lines):
        code, body = piece[:2], piece[3:]
        if code not in CODES or piece[2:3] not in (",", "/", ""):
            if current is not None and current.code == "16" and is_open and not _LIKE_RECORD.match(piece):
                current.parts[-1] += f" {piece.removesuffix('/')}"
                is_open = not piece.endswith("/")
                continue
            refuse("file_unreadable", f"line {number} is no BAI2 record", line=number, text=piece[:80])
        is_open = not body.rstrip().endswith("/")
        body = body.rstrip().removesuffix("/")
        if code != "88":
            if current is not None:
                yield current
            current = Record(code, [body], number)
        elif current is None:
            refuse("file_unreadable", f"line {number} continues no record", line=number, text=piece[:80])
        else:
            current.parts.append(body)
    if current is not None:
        yield current


def _pieces(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(number of its line, text) of each physical record: a line, or one of several in a line that slashes part, or that are all as long as
    the file's header says.
    """
    length: int | None = None
    rest = ""
    number = 0
    for number, line in enumerate(lines, start=1):
        if length is None and line.strip():
            length = _length(line)
        if not (length or rest) and len(line) < LONGEST:
            for piece in _parted(line):
                yield number, piece
            continue
        text, rest = rest + line, ""
        cut = [text[at : at + length] for at in range(0, len(text), length)] if length else [text]
        if len(line) >= LONGEST:  # the line goes on
            *cut, rest = cut if length else _NEXT.split(text)
            if len(rest) > LONGEST:
                refuse("file_unreadable", f"line {number} is no BAI2 record", line=number, text=rest[:80])
        yield from ((number, piece) for each in cut for piece in _parted(each))
    yield from ((number, piece) for piece in _parted(rest))


def _parted(text: str) -> Sequence[str]:
    plain = text.strip().lstrip("\ufeff").strip("\x00\x1a \t")
    if not plain:
        return ()
    return _NEXT.split(plain) if "/" in plain[:-1] else (plain,)


def _length(text: str) -> int:
    """How long every record is by the file's header, where the next one begins just there, in the same line; else 0."""
    found = _LENGTH.match(text)
    length = int(found[1]) if found else 0
    return length if length and text[length : length + 2] in CODES and text[length + 2 : length + 3] == "," else 0


@dataclass(slots=True)
class Summary:
    """A type code of an `03` with its amount in minor units ('' where there is none) and its count of items."""

    code: str
    amount: str
    count: str


def summaries(record: Record) -> list[Summary]:
    """What an `03` says behind account and currency: type, amount, count and funds type, again and again. A record may be continued behind
    any field; and a continuation may begin a new type although the last one's count and funds type were left out.
    """
    fields: list[str] = []
    begins: set[int] = set()
    for part in record.parts:
        begins.add(len(fields))
        fields += [each.strip() for each in part.split(",")]
    found: list[Summary] = []
    at = 2
    while at < len(fields):
        if not fields[at]:
            at += 1
            continue
        code, amount, at = fields[at], _field(fields, at + 1), at + 2
        count = ""
        if at not in begins or not _begins_type(fields, at):
            count, at = _field(fields, at), at + 1
            if at not in begins or _field(fields, at) in _FUNDS:
                at = _after_funds(fields, at)
        found.append(Summary(code, amount, count))
    return found


def _field(fields: list[str], at: int) -> str:
    return fields[at] if at < len(fields) else ""


def _begins_type(fields: list[str], at: int) -> bool:
    """Whether a continuation begins with a type code, or with the count that the amount before it lacks: by what follows."""
    if _CODE.fullmatch(_field(fields, at)) is None:
        return False
    amount, count, funds = (_field(fields, at + step) for step in (1, 2, 3))
    if _AMOUNT.fullmatch(amount) is None or not (count == "" or count.isdigit()) or funds.upper() not in _FUNDS:
        return False
    behind = _after_funds(fields, at + 1)
    is_count = amount.upper() in _FUNDS and (behind >= len(fields) or _CODE.fullmatch(fields[behind]) is not None)
    return not is_count or amount == ""


def _after_funds(fields: list[str], at: int) -> int:
    """The place behind the funds type at `at` and what belongs to it: three amounts for S, date and time for V, pairs for D."""
    funds = fields[at].upper() if at < len(fields) else ""
    if funds == "D":
        pairs = fields[at + 1] if at + 1 < len(fields) else ""
        return at + 2 + 2 * (int(pairs) if pairs.isascii() and pairs.isdigit() and len(pairs) < 4 else 0)
    return at + 1 + _ZERO_FUNDS.get(funds, 0)


@dataclass(slots=True)
class Transaction:
    """A `16`: type code, amount in minor units, funds type, the value date it names (YYMMDD), references and text."""

    code: str
    amount: str
    funds: str
    value_date: str | None
    bank_reference: str
    customer_reference: str
    text: str


def transaction(record: Record) -> Transaction:
    """The fields of a `16`. What follows the two references is text, commas and slashes and continuations and all."""
    fields = record.parts[0].split(",")
    plain = [each.strip() for each in fields]
    at = _after_funds(plain, 2)
    taken = 1
    while taken < len(record.parts) and at > len(fields) - 2:
        fields += record.parts[taken].split(",")
        plain = [each.strip() for each in fields]
        at = _after_funds(plain, 2)
        taken += 1
    rest = record.parts[taken:]
    plain += [""] * (at + 3 - len(plain))
    funds = plain[2].upper()
    return Transaction(
        code=plain[0],
        amount=plain[1],
        funds=funds,
        value_date=plain[3] or None if funds == "V" else None,
        bank_reference=plain[at],
        customer_reference=plain[at + 1],
        text=" ".join([",".join(fields[at + 2 :]), *rest]).strip(),
    )
