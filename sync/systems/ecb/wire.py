"""The ECB's files: XML of one day or of ninety, and the history as a table (CSV, in a zip). Pure: bytes in, rates as text out."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import date
from xml.etree.ElementTree import Element  # noqa: S405  (the type only: parsing is defusedxml's)

import polars as pl
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from sync.errors import DataError
from sync.wire_rows import excerpt

TABLE_BYTES_MAX = 50 * 1024 * 1024
GAPS = ("", "-", "N/A", "n/a")
ASKED_HEADER = "x-tidegate-asked-at"
KNOWN_HEADER = "x-tidegate-known-days"
BEFORE_HEADER = "x-tidegate-rates-before"
"""What travels with a page: when it was asked for, the days in it that were read before as they are, the rates before its first."""

RATES = {"ordinal": pl.Int64(), "day": pl.String(), "currency": pl.String(), "rate": pl.String()}


def rates(body: bytes) -> pl.DataFrame:
    """Every quoted rate of a file as text (frame RATES), in the order of the file; a gap is no rate. The kind of file is seen by its
    first bytes. DataError `file_unreadable` when it is none of theirs, not whole, or carries a DOCTYPE.
    """
    if body.startswith(b"PK"):
        found = _table(_unzipped(body), whole=True)  # by the archive's own sums
    elif body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        found = _cubes(body)
    else:
        found = _table(body, whole=body.endswith(b"\n"))
    # the table of one day writes its date in words, every other file as ISO 8601
    return found.with_columns(pl.coalesce(pl.col("day").str.to_date("%d %B %Y", strict=False).dt.to_string("%Y-%m-%d"), "day").alias("day"))


def is_day(text: str) -> bool:
    """Whether a text is a day that exists, as the files write it."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-10-30")


def digests(found: pl.DataFrame) -> dict[str, str]:
    """Day -> a digest of its rates, by which a day that changed is told from one that did not."""
    told = found.sort("day", "currency").group_by("day", maintain_order=True).agg(pl.concat_str("currency", "rate", separator="="))
    return {str(day): hashlib.sha256(";".join(map(str, pairs)).encode()).hexdigest()[:12] for day, pairs in told.iter_rows()}


def _cubes(body: bytes) -> pl.DataFrame:
    try:
        root = fromstring(body, forbid_dtd=True)
    except DefusedXmlException as error:
        raise _unreadable(body, "the file carries a DOCTYPE or an entity, which the ECB's never does") from error
    except (ParseError, ValueError, LookupError) as error:
        raise _unreadable(body, f"the file is no whole XML: {error}") from error
    days = [each for each in root.iter() if _local(each.tag) == "Cube" and "time" in each.attrib]
    if _local(root.tag) != "Envelope" or not days:
        raise _unreadable(body, "the file is no envelope with days of rates")
    rows = list(_quotes(days))
    return pl.DataFrame(rows, schema={name: kind for name, kind in RATES.items() if name != "ordinal"}, orient="row").select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("ordinal"), pl.all()
    )


def _quotes(days: Iterable[Element]) -> Iterator[tuple[str, str | None, str | None]]:
    for one in days:
        for quote in one:
            rate = quote.attrib.get("rate")
            if _local(quote.tag) == "Cube" and (rate is None or rate.strip() not in GAPS):
                yield one.attrib["time"].strip(), quote.attrib.get("currency"), None if rate is None else rate.strip()


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _unzipped(body: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".csv") and not name.startswith("__MACOSX/")]
            if len(names) != 1:
                raise _unreadable(body, f"the archive holds {len(names)} tables where one was expected")
            with archive.open(names[0]) as member:
                table = member.read(TABLE_BYTES_MAX + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
        raise _unreadable(body, f"the archive can't be read: {error}") from error
    if len(table) > TABLE_BYTES_MAX:
        raise _unreadable(body, f"the table is larger than {TABLE_BYTES_MAX // 2**20} MB unpacked")
    return table


def _table(body: bytes, *, whole: bool) -> pl.DataFrame:
    """A header `Date,USD,JPY,...,` and a line per day, newest first; every line ends with a comma. A file that is not `whole` lacks the last
    line's end. A spreadsheet that saved it again may have put every cell in quotes.
    """
    if body.removeprefix(b"\xef\xbb\xbf").startswith(b'"Date"'):
        body = body.replace(b'"', b"")
    try:
        table = pl.read_csv(io.BytesIO(body), infer_schema=False, encoding="utf8", quote_char=None)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise _unreadable(body, f"the table can't be read: {error}") from error
    names = {name: name.strip() for name in table.columns}
    if not table.columns or names[table.columns[0]] != "Date" or len(set(names.values())) != len(names) or table.is_empty():
        raise _unreadable(body, "the table's first line is not Date and a currency for each column")
    if not whole:
        raise _unreadable(body, "the table ends within a line: it was cut")
    table = table.rename(names)
    quoted = [name for name in table.columns[1:] if name]
    order = {name: place for place, name in enumerate(quoted)}
    long = table.with_row_index("line").unpivot(quoted, index=["line", "Date"], variable_name="currency", value_name="rate")
    return (
        long.with_columns(pl.col("rate").str.strip_chars(), day=pl.col("Date").str.strip_chars())
        .filter(pl.col("rate").is_not_null() & ~pl.col("rate").is_in(list(GAPS)))
        .sort("line", pl.col("currency").replace_strict(order, return_dtype=pl.Int64))
        .select(pl.int_range(pl.len(), dtype=pl.Int64).alias("ordinal"), "day", "currency", "rate")
    )


def _unreadable(body: bytes, words: str) -> DataError:
    return DataError(words, cause="file_unreadable", evidence={"begins": excerpt(body[:400])})
