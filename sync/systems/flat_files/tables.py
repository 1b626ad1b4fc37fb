"""The bytes of a file, in whatever declared format -> its tables of text columns: one, or one per file of an archive. Pure."""

from __future__ import annotations

import polars as pl

from sync.systems.flat_files import delimited, fixed, idoc_flat, idoc_xml
from sync.systems.flat_files.declaration import FileKind
from sync.systems.flat_files.packing import unpacked
from sync.systems.flat_files.wire import Table, decode


def tables(body: bytes, kind: FileKind) -> list[tuple[str, Table]]:
    """(name in its archive or "", table) of every file that `body` holds. Raises DataError when one of them is not what it should be."""
    return [(name, _table(plain, kind)) for name, plain in unpacked(body, kind.max_bytes)]


def _table(plain: bytes, kind: FileKind) -> Table:
    if kind.format == "idoc_xml":
        return idoc_xml.table(plain, kind)
    text = decode(plain, kind)
    if kind.format == "idoc_flat":
        return idoc_flat.table(text, kind)
    return fixed.table(text, kind) if kind.format == "fixed" else delimited.table(text, kind)


def joined(parts: list[Table]) -> Table:
    """The tables of an archive as one: the records of the later ones are numbered on. What each says of itself is left out."""
    if len(parts) == 1:
        return parts[0]
    lines: list[pl.DataFrame] = []
    broken: list[pl.DataFrame] = []
    first = 0
    for part in parts:
        lines.append(part.lines.with_columns(pl.col("ordinal") + first))
        broken.append(part.broken.with_columns(pl.col("ordinal") + first))
        first += part.records
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    return Table(pl.concat(lines), pl.concat(broken), first, names, parts[0].header)
