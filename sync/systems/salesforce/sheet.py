"""A page's records as text columns, whether they came as JSON or as CSV. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import polars as pl

from sync.errors import DataError
from sync.ports import REJECT_SCHEMA, no_rejects
from sync.wire_frames import ORDINAL, Rows, Rule, broken_rejects, decode, drifted, fields_seen, split, text_frame
from sync.wire_rows import excerpt, plain

_EXPONENT = re.compile(r"^-?\d+(?:\.\d+)?[eE][+-]?\d{1,3}$")
FIELD_BYTES_MAX = 1 << 20
_END = "\x1a"
"""A line of ours after the last: a cell that was never closed swallows it."""


class Sheet(ABC):
    """`total`: how many records the page held, broken ones included."""

    total: int

    @abstractmethod
    def frame(self, fields: Mapping[str, str]) -> pl.DataFrame:
        """The sound records: `ordinal` and a text column for each of `fields` (column -> field); absent and null are null."""

    @abstractmethod
    def broken(self, entity: str) -> pl.DataFrame:
        """The rejects of the records that can't be read at all."""

    @abstractmethod
    def drift(self, asked: Sequence[str]) -> list[Rule]:
        """Rules for records that lack a field that was asked for, or whose field is no plain value any more."""

    @abstractmethod
    def fields_seen(self) -> dict[str, str]:
        """Field -> kind of its values."""


class JsonSheet(Sheet):
    """A query's page. Raises DataError `file_unreadable` when the body holds no `member` array."""

    def __init__(self, body: bytes, member: str = "records") -> None:
        self._rows: Rows = decode(split(body, member).records)
        self.total = self._rows.total

    def frame(self, fields: Mapping[str, str]) -> pl.DataFrame:
        return text_frame(self._rows, fields)

    def broken(self, entity: str) -> pl.DataFrame:
        return broken_rejects(self._rows, entity)

    def drift(self, asked: Sequence[str]) -> list[Rule]:
        return drifted(self._rows, [*asked, "Id", "SystemModstamp"], asked)

    def fields_seen(self) -> dict[str, str]:
        return {name: kind for name, kind in fields_seen(self._rows).items() if name != "attributes"}


class CsvSheet(Sheet):
    """A bulk job's page. `kinds`: name -> number or flag, since CSV does not tell. Raises DataError when there is no header row."""

    def __init__(self, body: bytes, kinds: Mapping[str, str]) -> None:
        read = read_csv(body)
        self.total = read.total
        self._texts = read.texts
        self._broken = read.broken
        self._kinds = kinds

    def frame(self, fields: Mapping[str, str]) -> pl.DataFrame:
        held = self._texts.columns
        columns = [
            (_plain(pl.col(name), self._kinds.get(name)) if name in held else pl.lit(None, pl.String)).alias(column)
            for column, name in fields.items()
        ]
        return self._texts.select(ORDINAL, *columns)

    def broken(self, entity: str) -> pl.DataFrame:
        if not self._broken:
            return no_rejects()
        rejects = [
            {"ordinal": ordinal, "entity": entity, "cause": "malformed_record", "message": why, "evidence": json.dumps({"record": text})}
            for ordinal, (why, text) in sorted(self._broken.items())
        ]
        return pl.DataFrame(rejects, schema=REJECT_SCHEMA)

    def drift(self, asked: Sequence[str]) -> list[Rule]:
        gone = [name for name in asked if name not in self._texts.columns]
        return [Rule("schema_drift", name, pl.lit(value=True), f"{name} is gone") for name in gone]

    def fields_seen(self) -> dict[str, str]:
        names = [name for name in self._texts.columns if name != ORDINAL and "." not in name]
        if not names:
            return {}
        empty = self._texts.select(pl.col(names).is_null().all()).row(0)
        return {name: "null" if nothing else self._kinds.get(name, "text") for name, nothing in zip(names, empty, strict=True)}


class ReadCsv:
    """A CSV page: `texts` (ordinal and a text column for each header), `broken` ordinal -> (why, excerpt), `total` records."""

    def __init__(self, texts: pl.DataFrame, broken: Mapping[int, tuple[str, str]]) -> None:
        self.texts = texts
        self.broken = broken
        self.total = texts.height + len(broken)


def read_csv(body: bytes) -> ReadCsv:
    """A bulk job's page, header row first, empty cells null. NUL characters are dropped, as they mean nothing in a text.

    A record whose cells don't match the header, or that is no UTF-8, is broken; DataError when there is no header to match.
    """
    text = body.replace(b"\x00", b"").removeprefix(b"\xef\xbb\xbf")
    if not text.strip():
        return ReadCsv(pl.DataFrame(schema={ORDINAL: pl.Int64}), {})
    header = _header(text)
    try:
        if b"\n\n" in text or b"\r\n\r\n" in text:
            raise pl.exceptions.ComputeError("blank lines may stand inside quotes or between records")  # noqa: TRY301
        if text.count(b'"') % 2:
            raise pl.exceptions.ComputeError("a quote is never closed")  # noqa: TRY301
        frame = pl.read_csv(io.BytesIO(text), infer_schema=False, raise_if_empty=False)
        if frame.columns != header:
            raise pl.exceptions.ComputeError("the columns are not those of the header")  # noqa: TRY301
        if frame[header[-1]].null_count():  # every value is quoted, an empty one too: a null is a cell that is not there
            raise pl.exceptions.ComputeError("a record may be too short")  # noqa: TRY301
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return _slowly(text, header)
    columns = [pl.when(pl.col(name) == "").then(None).otherwise(pl.col(name)).alias(name) for name in header]
    return ReadCsv(frame.select(columns).with_row_index(ORDINAL).with_columns(pl.col(ORDINAL).cast(pl.Int64)), {})


def _header(text: bytes) -> list[str]:
    line = text.split(b"\n", 1)[0].decode("utf-8", "replace")
    try:
        header = next(csv.reader([line], strict=True))
    except (csv.Error, StopIteration):
        header = []
    if not header or len(set(header)) != len(header) or "Id" not in header:
        raise DataError(
            "the page is no CSV of records: its first line names no Id column",
            cause="file_unreadable",
            evidence={"begins": excerpt(text)},
        )
    return header


def _slowly(text: bytes, header: list[str]) -> ReadCsv:
    """Record by record, so that a bad one costs only itself."""
    broken: dict[int, tuple[str, str]] = {}
    ordinals: list[int] = []
    rows: list[list[str | None]] = []
    reader = csv.reader(io.StringIO(f"{text.decode('utf-8', 'surrogateescape')}\n{_END}", newline=""))
    csv.field_size_limit(FIELD_BYTES_MAX)
    ordinal = -1
    try:
        for place, cells in enumerate(reader):
            if place == 0 or not cells or cells == [_END]:
                continue
            ordinal += 1
            why = _objection(cells, header)
            if why is None:
                ordinals.append(ordinal)
                rows.append([cell or None for cell in cells])
            else:
                broken[ordinal] = (why, ",".join(cells)[:2000].encode("utf-8", "replace").decode())
    except csv.Error as error:
        broken[ordinal + 1] = (f"the record is no CSV: {error}", "")
    data = {name: [row[at] for row in rows] for at, name in enumerate(header)}
    texts = pl.DataFrame({ORDINAL: ordinals, **data}, schema={ORDINAL: pl.Int64, **dict.fromkeys(header, pl.String)})
    return ReadCsv(texts, broken)


def _objection(cells: Sequence[str], header: Sequence[str]) -> str | None:
    if cells[-1].endswith(f"\n{_END}"):
        return "the record ends within a cell"
    if len(cells) != len(header):
        return f"the record has {len(cells)} cells where the header names {len(header)}"
    if any(not cell.isascii() and any("\udc80" <= sign <= "\udcff" for sign in cell) for cell in cells):
        return "the record is no UTF-8"
    return None


def _plain(column: pl.Expr, kind: str | None) -> pl.Expr:
    """A number without an exponent, as JSON's are read too; other texts as they are."""
    if kind != "number":
        return column
    odd = column.str.contains("[eE]").fill_null(value=False)
    return pl.when(odd).then(column.map_elements(_without_exponent, return_dtype=pl.String)).otherwise(column)


def _without_exponent(number: str) -> str:
    return plain(number) if _EXPONENT.match(number) else number
