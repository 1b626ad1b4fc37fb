"""The text of a delimited file -> its lines as a frame of text columns, with what its header and trailer lines say. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import polars as pl

from sync.declared.records import CHARACTERS_OF_EVIDENCE, cleaned
from sync.errors import DataError
from sync.systems.flat_files.declaration import FileKind, Marked
from sync.systems.flat_files.wire import Table, unreadable

Row = str | list[str]
"""A line as it stands, or as a CSV reader cut it when the file uses quotes."""


def table(text: str, kind: FileKind) -> Table:
    """The lines of `text`. Raises DataError when the file as a whole is not of its kind: no names, no trailer, cut quotes."""
    quoted = kind.quote is not None and kind.quote in text
    split: Sequence[Row] = _quoted(text, kind) if quoted else [line.removesuffix("\r") for line in text.split("\n")]
    rows = [row for row in split if (row.strip(" ") if isinstance(row, str) else any(cell.strip(" ") for cell in row) or len(row) > 1)]
    header: dict[str, str] = {}
    trailer: dict[str, str] = {}
    sums: list[tuple[str, str]] = []
    first, last = 0, len(rows)
    while kind.header is not None and first < last and _first(rows[first], kind) == kind.header.marker:
        _told(rows[first], kind, kind.header, header, [])
        first += 1
    if kind.header is not None and not header:
        raise unreadable(f"the file does not begin with its header line {kind.header.marker!r}", head=_line(rows[0], kind) if rows else "")
    names, first = _names(rows, first, kind)
    while kind.trailer is not None and last > first and _first(rows[last - 1], kind) == kind.trailer.marker:
        _told(rows[last - 1], kind, kind.trailer, trailer, sums)
        last -= 1
    if kind.trailer is not None and not trailer and not sums:
        raise unreadable("the file has no trailer line at its end: it was cut", tail=_line(rows[-1], kind) if rows else "")
    data = rows[first:last]
    lists = [row for row in data if isinstance(row, list)]
    found = _from_lists(lists, names) if quoted else _from_lines([row for row in data if isinstance(row, str)], names, kind)
    return Table(_named(found[0], names, kind), found[1], len(data), names, header, trailer, tuple(sums))


def _quoted(text: str, kind: FileKind) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=kind.delimiter, quotechar=kind.quote, strict=True))
    except csv.Error as error:
        raise unreadable(f"the file's quotes don't close: {error}", reason=str(error)) from error


def _cells(row: Row, kind: FileKind) -> list[str]:
    return row.split(kind.delimiter) if isinstance(row, str) else row


def _first(row: Row, kind: FileKind) -> str:
    return row.partition(kind.delimiter)[0].strip() if isinstance(row, str) else row[0].strip()


def _line(row: Row, kind: FileKind) -> str:
    return (row if isinstance(row, str) else kind.delimiter.join(row))[:CHARACTERS_OF_EVIDENCE]


def _told(row: Row, kind: FileKind, marked: Marked, into: dict[str, str], sums: list[tuple[str, str]]) -> None:
    """Reads one marked line into `into`, and its pairs of currency and amount into `sums`."""
    cells = [cell.strip() for cell in _cells(row, kind)[1:]]
    names = list(marked.fields)
    if names[-1] == "totals":
        names.pop()
        pairs = cells[len(names) :]
        while pairs and not pairs[-1]:
            pairs.pop()
        if len(pairs) % 2:
            raise unreadable("the trailer's sums are not pairs of currency and amount", line=_line(row, kind))
        sums.extend(zip(pairs[::2], pairs[1::2], strict=True))
    if len(cells) < len(names):
        raise unreadable(f"the line {marked.marker!r} has too few fields: it was cut", line=_line(row, kind))
    into.update({name: cell for name, cell in zip(names, cells, strict=False) if name})


def _names(rows: Sequence[Row], first: int, kind: FileKind) -> tuple[tuple[str, ...], int]:
    """The file's column names and where its data begin; DataError when a declared column is not there."""
    if not kind.names_in_file:
        return tuple(kind.columns), first
    if first >= len(rows):
        raise unreadable("the file has no line with column names")
    names = tuple(cell.strip() for cell in _cells(rows[first], kind))
    wanted = [name for name, column in kind.columns.items() if not column.optional]
    missing = [name for name in wanted if name not in names]
    twice = sorted({name for name in wanted if names.count(name) > 1})
    if missing or twice:
        what = f"lacks its column {', '.join(missing)}" if missing else f"has its column {', '.join(twice)} twice"
        raise DataError(f"the file {what}", cause="schema_drift", evidence={"missing": missing, "twice": twice, "found": list(names)})
    return names, first + 1


def _from_lines(data: list[str], names: tuple[str, ...], kind: FileKind) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines without quotes, cut at the delimiter by Polars; those with another number of fields are broken."""
    frame = pl.DataFrame({"text": data}, schema={"text": pl.String}).with_row_index("ordinal").cast({"ordinal": pl.Int64})
    frame = frame.with_columns(fields=pl.col("text").str.count_matches(kind.delimiter, literal=True).cast(pl.Int64) + 1)
    whole = (pl.col("fields") == len(names)) & ~pl.col("text").str.contains("\0", literal=True)
    good = frame.filter(whole)
    if len(names) == 1:
        cut = good.select("ordinal", pl.col("text").alias("0"))
    else:
        parts = good["text"].str.split_exact(kind.delimiter, len(names) - 1).struct.unnest()
        cut = parts.rename({old: str(n) for n, old in enumerate(parts.columns)}).insert_column(0, good["ordinal"])
    return cut, _broken(frame.filter(~whole), len(names))


def _from_lists(data: list[list[str]], names: tuple[str, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines that a CSV reader cut; the broken ones keep their fields joined by a bar."""
    good = [(n, row) for n, row in enumerate(data) if len(row) == len(names) and not any("\0" in cell for cell in row)]
    held = {n for n, _ in good}
    bad = [(n, " | ".join(row), len(row)) for n, row in enumerate(data) if n not in held]
    columns = {str(i): [row[i] for _, row in good] for i in range(len(names))}
    cut = pl.DataFrame({"ordinal": [n for n, _ in good], **columns}, schema={"ordinal": pl.Int64, **dict.fromkeys(columns, pl.String)})
    schema = {"ordinal": pl.Int64, "text": pl.String, "fields": pl.Int64}
    return cut, _broken(pl.DataFrame(bad, schema=schema, orient="row"), len(names))


def _broken(frame: pl.DataFrame, width: int) -> pl.DataFrame:
    return frame.select(
        "ordinal",
        text=pl.col("text").str.replace_all("\0", "\ufffd", literal=True).str.slice(0, CHARACTERS_OF_EVIDENCE),
        message=pl.when(pl.col("fields") == width)
        .then(pl.lit("the line holds a NUL character"))
        .otherwise(pl.format(f"the line has {{}} fields, not {width}", "fields")),
    )


def _named(cut: pl.DataFrame, names: tuple[str, ...], kind: FileKind) -> pl.DataFrame:
    """The declared columns of `cut`, whose columns are called by their place."""
    held = {name: str(names.index(name)) for name in kind.columns if name in names}
    return cleaned(cut.select("ordinal", **{name: pl.col(place) for name, place in held.items()}), kind)
