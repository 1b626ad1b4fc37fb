"""The text of a file of fixed positions -> its lines as a frame of text columns. Pure; positions count characters, or bytes where declared."""

from __future__ import annotations

import polars as pl

from sync.declared.records import broken_frame, cleaned
from sync.systems.flat_files.declaration import FileColumn, FileKind, Marked
from sync.systems.flat_files.wire import Table, unreadable


def table(text: str, kind: FileKind) -> Table:
    """The records of `text`. Raises DataError when the header or the trailer is missing, or the file is cut inside a record."""
    rows = _records(text, kind)
    header: dict[str, str] = {}
    trailer: dict[str, str] = {}
    sums: list[tuple[str, str]] = []
    first, last = 0, len(rows)
    while kind.header is not None and first < last and rows[first].startswith(kind.header.marker):
        _told(rows[first], kind.header, header, [])
        first += 1
    if kind.header is not None and not header:
        raise unreadable(f"the file does not begin with its header line {kind.header.marker!r}", head=rows[0][:80] if rows else "")
    while kind.trailer is not None and last > first and rows[last - 1].startswith(kind.trailer.marker):
        _told(rows[last - 1], kind.trailer, trailer, sums)
        last -= 1
    if kind.trailer is not None and not trailer and not sums:
        raise unreadable("the file has no trailer line at its end: it was cut", tail=rows[-1][-80:] if rows else "")
    data = rows[first:last]
    cut, broken = _by_bytes(data, kind) if kind.positions == "bytes" else _by_characters(data, kind)
    return Table(cleaned(cut, kind), broken, len(data), tuple(kind.columns), header, trailer, tuple(sums))


def _records(text: str, kind: FileKind) -> list[str]:
    """The records: lines, or with `framing = "none"` so many characters (or bytes) each."""
    if kind.framing != "none":
        lines = (line.removesuffix("\r") for line in text.split("\n"))
        return [line for line in lines if line.strip(" \x1a")]  # 0x1A ends a file of DOS and of CP/M
    length = kind.record_length or 1
    if kind.positions == "characters":
        whole = text.rstrip("\r\n\x1a")
        records = [whole[place : place + length] for place in range(0, len(whole), length)]
    else:
        raw = text.encode(kind.encoding)
        try:
            records = [raw[place : place + length].decode(kind.encoding) for place in range(0, len(raw), length)]
        except UnicodeDecodeError as error:
            raise unreadable(f"the file's records of {length} bytes end inside a character", byte=error.start) from error
    if records and len(records[-1] if kind.positions == "characters" else records[-1].encode(kind.encoding)) < length:
        raise unreadable(f"the last record is shorter than {length}: the file was cut", tail=records[-1][-80:])
    return records


def _told(row: str, marked: Marked, into: dict[str, str], sums: list[tuple[str, str]]) -> None:
    """Reads a marked line by the widths of its fields; where it ends with totals, pairs of currency and amount go on to the line's end."""
    names = list(marked.fields)
    pairs = names[-1] == "totals"
    place = len(marked.marker)
    for name, width in zip(names[:-1] if pairs else names, marked.widths, strict=False):
        if len(row) < place + 1:
            raise unreadable(f"the line {marked.marker!r} has too few fields: it was cut", line=row[:400])
        into[name] = row[place : place + width].strip()
        place += width
    if pairs:
        currency, amount = marked.widths[-2:]
        while row[place:].strip():
            pair = row[place : place + currency].strip(), row[place + currency : place + currency + amount].strip()
            if not all(pair):
                raise unreadable("the trailer's sums are not pairs of currency and amount", line=row[:400])
            sums.append(pair)
            place += currency + amount


def _by_characters(data: list[str], kind: FileKind) -> tuple[pl.DataFrame, pl.DataFrame]:
    frame = pl.DataFrame({"text": data}, schema={"text": pl.String}).with_row_index("ordinal").cast({"ordinal": pl.Int64})
    frame = frame.with_columns(length=pl.col("text").str.len_chars().cast(pl.Int64))
    wrong = pl.when(pl.col("text").str.contains("\0", literal=True)).then(pl.lit("the line holds a NUL character"))
    frame = frame.with_columns(message=pl.coalesce(wrong, _misfit(kind)))
    good = frame.filter(pl.col("message").is_null())
    cut = good.select("ordinal", *(pl.col("text").str.slice(start, column.width).alias(name) for name, start, column in kind.places()))
    bad = frame.filter(pl.col("message").is_not_null()).select("ordinal", "text", "message").rows()
    return cut, broken_frame(bad)


def _misfit(kind: FileKind) -> pl.Expr:
    """Why a line of this `length` does not fit, else null: it is not as long as records are, or ends inside a value that is no text.

    Blanks at a line's end are often cut away, so a shorter line is none the worse for a text that ends early, or is missing.
    """
    length = pl.col("length")
    if kind.record_length is not None:
        return pl.when(length != kind.record_length).then(pl.format(f"the line has {{}} characters, not {kind.record_length}", length))
    found: pl.Expr = pl.lit(None, dtype=pl.String)
    for name, start, column in kind.places():
        if column.type != "text":
            inside = (length > start) & (length < start + (column.width or 0))
            words = pl.format("the line has {} characters and ends inside {}", length, pl.lit(name))
            found = pl.when(inside).then(words).otherwise(found)
    return found


def _by_bytes(data: list[str], kind: FileKind) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cut by bytes: a character of several bytes counts so many positions, and none may be cut in two."""
    rows: list[dict[str, object]] = []
    broken: list[tuple[int, str, str]] = []
    for ordinal, line in enumerate(data):
        raw = line.encode(kind.encoding)
        wrong = _misfit_of(raw, kind)
        cells: dict[str, object] = {"ordinal": ordinal}
        for name, start, column in kind.places() if wrong is None else ():
            try:
                cells[name] = raw[start : start + (column.width or 0)].decode(kind.encoding)
            except UnicodeDecodeError:
                wrong = f"{name} begins or ends inside a character"
                break
        if wrong is None:
            rows.append(cells)
        else:
            broken.append((ordinal, line, wrong))
    schema = {"ordinal": pl.Int64(), **dict.fromkeys(kind.columns, pl.String())}
    return pl.DataFrame(rows, schema=schema), broken_frame(broken)


def _misfit_of(raw: bytes, kind: FileKind) -> str | None:
    if b"\0" in raw:
        return "the line holds a NUL character"
    if kind.record_length is not None:
        return None if len(raw) == kind.record_length else f"the line has {len(raw)} bytes, not {kind.record_length}"
    for name, start, column in kind.places():
        if _ends_inside(len(raw), start, column):
            return f"the line has {len(raw)} bytes and ends inside {name}"
    return None


def _ends_inside(length: int, start: int, column: FileColumn) -> bool:
    return column.type != "text" and start < length < start + (column.width or 0)
