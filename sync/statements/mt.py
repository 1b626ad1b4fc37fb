"""MT940 and MT942 as they stand in the file: one message or many, in SWIFT's envelope or without, pages joined into one statement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sync.statements.lines import clean, lines
from sync.statements.model import Balance, Entry, Sink, Statement, refuse
from sync.statements.mt_details import details
from sync.statements.mt_fields import account_of, balance, declared, floor, is_iban, line, moment, number

_TAG = re.compile(r"^:(\d\d[A-Z]?|NS):(.*)$")
_KNOWN = frozenset(
    ["20", "21", "25", "25P", "28", "28C", "60F", "60M", "61", "86", "62F", "62M", "64", "65", "34F", "13", "13D", "90C", "90D", "NS"]
)

_END = re.compile(r"\s*-(\}.*|XXX)?\s*$")
_FRAME = "".join(map(chr, (1, 2, 3, 4)))
_INDENTED = re.compile(r" +(?=:\d\d[A-Z]?:|\{)")
_FOREIGN = re.compile(r"\s*(<\?xml|<([\w.-]+:)?Document\b|01,[^,]*,[^,]*,\d{6})")
_BLOCK = re.compile(r"\{[1235S]:(?:[^{}]|\{[^{}]*\})*\}")
_GLUED = re.compile(r":(?:61|86|6[02][FM]):")
_OPENS = frozenset(("60F", "60M", "61", "62F", "62M", "34F", "90C", "90D"))


@dataclass(slots=True)
class _Field:
    tag: str
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Message:
    """What stands before a message's first balance or line."""

    reference: str = ""
    account: str = ""
    number: str = ""
    made: str | None = None


def read(body: bytes, sink: Sink) -> None:
    """Every statement of the file. Raises DataError: file_unreadable, bad_amount, bad_currency, bad_date, bad_value."""
    reader = _Reader(sink)
    for each in _fields(lines(body)):
        reader.field(each)
    reader.close()


def _fields(text: Iterable[str]) -> Iterator[_Field | None]:
    """The fields in their order; None where a message ends. What stands between messages is left out."""
    current: _Field | None = None
    for plain in _inner(text):
        found = _TAG.match(plain) if plain is not None and plain[:1] == ":" else None
        # In a text a line may begin like a field: only a tag that we know ends it.
        begins = found is not None and (found[1] in _KNOWN or current is None or current.tag not in ("86", "61"))
        if current is not None and (plain is None or begins):
            yield current
            current = None
        if plain is None:
            yield None
        elif found is not None and begins:
            current = _Field(found[1], [found[2]])
        elif current is not None:
            current.lines.append(plain)
    if current is not None:
        yield current


def _inner(text: Iterable[str]) -> Iterator[str | None]:
    """The lines without SWIFT's envelope and what frames it; None where a message ends. Refuses a file of another format behind them."""
    for raw in text:
        if ("<" in raw or "01," in raw) and _FOREIGN.match(raw):
            refuse("file_unreadable", "a file of another format follows the messages: the file is mixed", line=raw[:80])
        plain = raw.strip(_FRAME) if raw[:1] in _FRAME or raw[-1:] in _FRAME else raw
        if plain[:1] == " ":  # before a field it is nothing; in a text that was broken at a blank it parts two words
            plain = _INDENTED.sub("", plain, count=1)
        if plain.startswith("{") or "{4:" in plain:
            plain, opened = _unwrapped(plain)
            if opened:
                yield None
            if not plain:
                continue
        if "-" in plain and _END.match(plain):
            yield None
            continue
        inner, end, _ = plain.rpartition("-}") if plain.startswith(":") else ("", "", "")
        yield inner if end else plain
        if end:
            yield None


def _unwrapped(line_: str) -> tuple[str, bool]:
    """The line without SWIFT's blocks 1, 2, 3 and 5, and whether block 4 begins in it."""
    inner = _BLOCK.sub("", line_)
    if inner.startswith("-}"):
        inner = inner[2:].strip() or "-"
    if "{4:" in inner:
        return inner.partition("{4:")[2].strip(), True
    return ("", False) if inner.startswith("{") else (inner.strip(), False)


class _Reader:
    """Takes fields in their order and makes statements of them."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._message: _Message | None = None
        self._statement: Statement | None = None
        self._waits = False  # the statement's page is over and the next message may go on with it
        self._entry: Entry | None = None
        self._elements: set[str] = set()
        self._found = 0

    def field(self, each: _Field | None) -> None:
        """The next field; None: the message is over."""
        if each is None:
            if not self._lacks_closing():  # a dash alone in a line of text is no end; if it is one, the next message shows what is missing
                self._end_of_message()
            return
        if each.tag == "20":
            self._end_of_message()
            self._message = _Message(clean(each.lines[0]))
            self._elements = {":20:"}
            return
        if self._message is None:
            self._message = _Message()  # a message whose first field is missing, or which another bank's header replaces
            self._elements = set()
        self._elements.add(f":{each.tag}:")
        if each.tag in _OPENS and (self._statement is None or self._waits):
            self._begin(each.tag)
        self._take(each, self._message)

    def close(self) -> None:
        """The file is over. A report has no closing balance: without a dash, or the sums that stand last, nobody knows that it is whole."""
        report = self._statement if self._message is not None else None
        if report is not None and report.format == "MT942" and not report.declared:
            refuse("file_unreadable", "neither a dash nor its sums (:90D:, :90C:) end it: the file is cut", report)
        self._end_of_message()
        self._finish()
        if not self._found:
            refuse("file_unreadable", "the file holds no MT940 or MT942 message that can be read", fields=sorted(self._elements))

    def _take(self, each: _Field, message: _Message) -> None:
        if each.tag not in ("61", "86") and _GLUED.search(each.lines[0]):
            refuse("file_unreadable", f"another field stands in the line of :{each.tag}:", self._statement, line=each.lines[0][:200])
        if each.tag in ("25", "25P"):
            message.account = clean(each.lines[0])
        elif each.tag in ("28", "28C"):
            message.number = re.sub(r"\s", "", "".join(each.lines))
        elif each.tag in ("13", "13D"):
            message.made = moment(each.lines[0])
            if self._statement is not None:
                self._statement.created = message.made
        elif self._statement is not None:
            self._of_statement(each, self._statement)

    def _of_statement(self, each: _Field, statement: Statement) -> None:
        first = each.lines[0].strip()
        if each.tag in ("60F", "60M"):
            found = balance("OPBD" if each.tag == "60F" else "OPIM", first, statement)
            if statement.balances and statement.balances[-1].code == "CLIM":
                statement.balances.pop()  # two pages meet here: the one's end and the other's beginning are not the statement's
            else:
                statement.balances.append(found)
            statement.currency = found.currency
        elif each.tag in ("62F", "62M"):
            self._flush()
            closing = balance("CLBD" if each.tag == "62F" else "CLIM", first, statement)
            if statement.balances and closing.currency != statement.balances[0].currency:
                words = f"it opens in {statement.balances[0].currency} and closes in {closing.currency}"
                refuse("bad_currency", words, statement, balance=first)
            statement.balances.append(closing)
        elif each.tag in ("64", "65"):
            statement.balances.append(balance("CLAV" if each.tag == "64" else "FWAV", first, statement))
        elif each.tag == "61":
            self._flush()
            self._entry = line(each.lines, statement)
        elif each.tag == "86":
            self._information(each.lines)
        elif each.tag == "34F":
            statement.currency = statement.currency or floor(first)
        elif each.tag in ("90C", "90D"):
            self._flush()
            statement.declared.append(declared("CRDT" if each.tag == "90C" else "DBIT", first, statement))

    def _information(self, words: list[str]) -> None:
        """`:86:` belongs to the line before it; after a balance it says something of the statement, which nobody needs."""
        if self._entry is None:
            return
        found = details(words, self._entry.direction, self._entry.bank_code)
        for before in self._entry.details:  # another `:86:` came first: what it said stays, and this one only adds to its text
            before.remittance = clean(f"{before.remittance or ''} {found.detail.remittance or ''}") or None
            return
        if not (found.detail.debtor_account or found.detail.creditor_account) and is_iban(self._entry.text or ""):
            found.detail.debtor_account = self._entry.text  # some banks put the other account below the line
        if found.bank_code:
            self._entry.bank_code = "/".join(part for part in (self._entry.bank_code, found.bank_code) if part)
        if found.detail.return_reason is None and (self._entry.bank_code or "").startswith(("NRTI", "SRTI", "FRTI")):
            found.detail.return_reason = "RTI"
        self._entry.details = (found.detail,)

    def _begin(self, tag: str) -> None:
        message = self._message or _Message()
        account, iban, currency = account_of(message.account)
        sequence, page = number(message.number)
        known = self._statement
        if known is not None and tag == "60M" and known.account == account and known.balances[-1:] and known.balances[-1].code == "CLIM":
            self._waits = False
            known.elements |= self._elements
            return
        self._finish()
        kind = "MT940" if tag in ("60F", "60M", "62F", "62M") or (message.made is None and tag == "61") else "MT942"
        self._statement = Statement(
            kind,
            "statement" if kind == "MT940" else "report",
            id=" ".join(part for part in (message.reference, message.number) if part),
            account=account,
            iban=iban,
            currency=currency,
            sequence=sequence,
            page=page if tag == "60M" else None,
            created=message.made,
            elements=self._elements,
        )
        self._found += 1
        self._sink.begin(self._statement)

    def _lacks_closing(self) -> bool:
        statement = self._statement
        return statement is not None and statement.format == "MT940" and all(one.code not in ("CLBD", "CLIM") for one in statement.balances)

    def _flush(self) -> None:
        if self._entry is not None:
            self._sink.entry(self._entry)
            self._entry = None

    def _end_of_message(self) -> None:
        self._flush()
        if self._statement is None:
            if self._message is not None and self._message.reference and self._message.account:
                refuse("file_unreadable", f"message {self._message.reference} holds no balance and no line: it is cut",
                       account=self._message.account)  # fmt: skip
            self._message = None
            return
        last: Balance | None = next((one for one in reversed(self._statement.balances) if one.code in ("CLBD", "CLIM")), None)
        if last is not None and last.code == "CLIM":
            self._waits = True
        else:
            self._finish()
        self._message = None

    def _finish(self) -> None:
        statement, self._statement, self._waits = self._statement, None, False
        if statement is None:
            return
        codes = {one.code for one in statement.balances}
        if statement.format == "MT940":
            if not codes & {"OPBD", "OPIM"} or not codes & {"CLBD", "CLIM"}:
                which = "opening balance (:60F:)" if not codes & {"OPBD", "OPIM"} else "closing balance (:62F:)"
                refuse("file_unreadable", f"it has no {which}: the file is cut", statement, balances=sorted(codes))
            closing = next(one for one in reversed(statement.balances) if one.code in ("CLBD", "CLIM"))
            statement.created = statement.created or closing.date
        self._sink.end()
