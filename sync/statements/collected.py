"""What a reader finds, gathered by column: entries become typed frames a few thousand at a time, and their texts are let go."""

from __future__ import annotations

from typing import Any

import polars as pl
import xxhash

from db.money import parse_amount
from sync.statements.model import Detail, Entry, Statement, Total, refuse

CHUNK = 4096
_BOOKED = ("BOOK", "")
_NOT_GIVEN = frozenset(("NOTPROVIDED", "NOT PROVIDED", "NONREF", "NOTAVAILABLE", ""))
_TEXTS = ("entry_reference", "ident", "bank_code", "counterparty_name", "counterparty_account", "remittance", "end_to_end_id",
          "structured_reference", "return_reason", "payment_reference", "payment_end_to_end")  # fmt: skip
_SCHEMA: dict[str, Any] = {
    "statement": pl.Int32, "number": pl.Int32, "is_booked": pl.Boolean, "is_reversal": pl.Boolean, "parts": pl.Int32,
    "amount": pl.String, "currency": pl.String, "direction": pl.String, "booking_date": pl.String, "value_date": pl.String,
    "counter_amount": pl.String, "counter_currency": pl.String,
    **dict.fromkeys(_TEXTS, pl.String),
}  # fmt: skip
_PART_SCHEMA: dict[str, Any] = {
    "statement": pl.Int32, "number": pl.Int32, "position": pl.Int32, "part_amount": pl.String, "part_currency": pl.String,
    "part_direction": pl.String, "part_reference": pl.String, "part_end_to_end": pl.String, "part_reason": pl.String,
}  # fmt: skip


class Collected:
    """A `Sink` that keeps everything. `entries` and `parts` are complete once the reader is done."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self.totals: list[Total] = []
        self._counts: list[int] = []
        self._rows: list[tuple[Any, ...]] = []
        self._part_rows: list[tuple[Any, ...]] = []
        self._frames: list[pl.DataFrame] = []
        self._part_frames: list[pl.DataFrame] = []

    @property
    def counts(self) -> list[int]:
        """How many entries each statement has, pending ones too."""
        return self._counts

    def begin(self, statement: Statement) -> None:
        self.statements.append(statement)
        self._counts.append(0)

    def end(self) -> None:
        statement = self.statements[-1]
        if not statement.account:
            refuse("bad_value", "a statement names no account", statement)

    def total(self, total: Total) -> None:
        self.totals.append(total)

    def entry(self, entry: Entry) -> None:
        at, number = len(self.statements) - 1, self._counts[-1]
        self._counts[-1] += 1
        details = entry.details
        first = details[0] if details else None
        only = first if len(details) == 1 else None
        name, account = _counterparty(only, entry.direction)
        remittance = entry.text if first is None else first.remittance
        if len(details) > 1:
            remittance = " ".join(detail.remittance for detail in details if detail.remittance) or None
            self._take_parts(at, number, entry)
        end_to_end = _given(only.end_to_end_id) if only else None
        counter = entry.counter_value or (None, None)
        self._rows.append((
            at, number, entry.status.upper() in _BOOKED, entry.is_reversal, len(details), entry.amount, entry.currency, entry.direction,
            entry.booking_date, entry.value_date, *counter,
            entry.reference or entry.number,
            entry.reference or _ident(entry, remittance, name, account, end_to_end),
            entry.bank_code, name, account, remittance, end_to_end, only.structured_reference if only else None,
            next((detail.return_reason for detail in details if detail.return_reason), None),
            _payment_reference(first) if first else entry.text,
            _given(first.end_to_end_id) if first else None,
        ))  # fmt: skip
        if len(self._rows) >= CHUNK:
            self._turn()

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """All entries, and the transactions of those that have several."""
        self._turn()
        entries = pl.concat(self._frames, rechunk=False) if self._frames else self._typed(pl.DataFrame(schema=_SCHEMA))
        parts = pl.concat(self._part_frames, rechunk=False) if self._part_frames else _typed_parts(pl.DataFrame(schema=_PART_SCHEMA))
        self._frames, self._part_frames = [], []
        return entries, parts

    def _take_parts(self, at: int, number: int, entry: Entry) -> None:
        for position, detail in enumerate(entry.details):
            self._part_rows.append((
                at, number, position, detail.amount, detail.currency, detail.direction, _payment_reference(detail),
                _given(detail.end_to_end_id), detail.return_reason,
            ))  # fmt: skip
        if len(self._part_rows) >= CHUNK:
            self._turn_parts()

    def _turn(self) -> None:
        if self._rows:
            self._frames.append(self._typed(_frame(self._rows, _SCHEMA)))
            self._rows = []
        self._turn_parts()

    def _turn_parts(self) -> None:
        if self._part_rows:
            self._part_frames.append(_typed_parts(_frame(self._part_rows, _PART_SCHEMA)))
            self._part_rows = []

    def _typed(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Amounts signed and exact, dates as dates; the first entry that can't be read refuses the file."""
        side = pl.col("direction").replace_strict({"CRDT": 1, "DBIT": -1}, default=None, return_dtype=pl.Int8)
        frame = texts.with_columns(
            parse_amount(pl.col("amount")).alias("exact"), side.alias("side"),
            parse_amount(pl.col("counter_amount")).alias("counter"),
            *(_day(name).alias(f"{name}_read") for name in ("booking_date", "value_date")),
        )  # fmt: skip
        amount = pl.col("exact")
        self._hold(frame, pl.col("side").is_null(), "bad_value", "the direction {} is neither CRDT nor DBIT", "direction")
        self._hold(frame, amount.is_null() | (amount < 0), "bad_amount", "the amount {} can't be read exactly", "amount")
        for name in ("booking_date", "value_date"):
            unread = pl.col(name).is_not_null() & pl.col(f"{name}_read").is_null()
            self._hold(frame, unread, "bad_date", "the date {} does not exist", name)
        return frame.select(
            "statement", "number", "is_booked", "is_reversal", "parts", (pl.col("side") < 0).alias("is_debit"),
            (amount * pl.col("side")).cast(pl.Decimal(19, 4)).alias("amount"), "currency",
            *(pl.col(f"{name}_read").alias(name) for name in ("booking_date", "value_date")),
            (pl.col("counter") * pl.col("side")).cast(pl.Decimal(19, 4)).alias("counter_amount"), "counter_currency",
            *_TEXTS,
        )  # fmt: skip

    def _hold(self, frame: pl.DataFrame, broken: pl.Expr, cause: str, words: str, field: str) -> None:
        bad = frame.filter(broken).head(1)
        if bad.is_empty():
            return
        row = bad.row(0, named=True)
        name = "date" if cause == "bad_date" else field
        refuse(cause, words.format(repr(row[field])), self.statements[row["statement"]], entry=row["number"] + 1, field=field,
               reference=row["entry_reference"], **{name: row[field]})  # fmt: skip


def _frame(rows: list[tuple[Any, ...]], schema: dict[str, Any]) -> pl.DataFrame:
    columns = zip(*rows, strict=True)
    return pl.DataFrame([pl.Series(name, values, dtype=kind) for (name, kind), values in zip(schema.items(), columns, strict=True)])


def _typed_parts(texts: pl.DataFrame) -> pl.DataFrame:
    return texts.with_columns(parse_amount(pl.col("part_amount")).alias("part_amount"))


def _day(name: str) -> pl.Expr:
    """The date at the beginning of a text; a business date is never shifted by a time or a zone behind it."""
    return pl.col(name).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)


def _ident(entry: Entry, remittance: str | None, name: str | None, account: str | None, end_to_end: str | None) -> str:
    """What tells an entry without a bank's reference from others: all that it says, as the statement will say it again."""
    amount = entry.amount.rstrip("0").rstrip(".") if "." in entry.amount else entry.amount
    content = (amount, entry.currency, remittance, name, account, end_to_end)
    return "~" + xxhash.xxh3_64_hexdigest("\x1f".join(each or "" for each in content).encode("utf-8", "surrogatepass"))


def _counterparty(detail: Detail | None, direction: str) -> tuple[str | None, str | None]:
    if detail is None:
        return None, None
    debtor, creditor = (detail.debtor, detail.debtor_account), (detail.creditor, detail.creditor_account)
    first, second = (debtor, creditor) if direction == "CRDT" else (creditor, debtor)
    return first if first[0] or first[1] else second


def _payment_reference(detail: Detail) -> str | None:
    return detail.structured_reference or detail.remittance or _given(detail.end_to_end_id)


def _given(end_to_end_id: str | None) -> str | None:
    return None if end_to_end_id is None or end_to_end_id.upper() in _NOT_GIVEN else end_to_end_id
