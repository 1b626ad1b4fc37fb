"""What every format of file has in common: its text, what it says of itself, its place among the others. Pure."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field

from sync.declared.records import Records
from sync.errors import DataError
from sync.systems.flat_files.declaration import FileKind

DIGITS_MAX = 18
"""More make no period and no sequence: who writes them writes something else."""


@dataclass(frozen=True, slots=True)
class Table(Records):
    """The records of a file with what it says of itself: `header` and `trailer` by the names of their fields; `sums` as the trailer
    has them, still text.
    """

    header: dict[str, str] = field(default_factory=dict)
    trailer: dict[str, str] = field(default_factory=dict)
    sums: tuple[tuple[str, str], ...] = ()


def unreadable(detail: str, **evidence: object) -> DataError:
    """The error of a file that is not what it should be."""
    return DataError(detail, cause="file_unreadable", evidence=evidence)


def decode(plain: bytes, kind: FileKind) -> str:
    """The text of an unpacked file. Raises DataError when it is empty, cut, or not in its encoding."""
    if not plain.strip():
        raise unreadable("the file is empty", bytes=len(plain))
    # Its mark says what it is, whatever was declared; but where positions are bytes, they are those of the declared encoding.
    encoding = "utf-8" if plain.startswith(codecs.BOM_UTF8) and kind.positions != "bytes" else kind.encoding
    try:
        text = plain.decode(encoding)
    except UnicodeDecodeError as error:
        raise unreadable(
            f"the file is not in its declared encoding {encoding}: byte {error.start}", byte=error.start, reason=error.reason
        ) from error
    text = _lines_of(text.removeprefix("\ufeff"), kind)
    if kind.final_newline and not text.endswith("\n"):
        raise unreadable("the file's last line has no end: it was cut", tail=text[-80:])
    return text


def _lines_of(text: str, kind: FileKind) -> str:
    """The text with line feeds where another kind of machine ended its lines, and without what ended or filled up its files."""
    if kind.framing == "none":
        return text
    text = text.rstrip("\x1a" if kind.format == "idoc_flat" else "\x1a\0")  # an IDoc's record has its full length, filled or not
    if "\n" in text:
        return text
    try:
        ebcdic = b"\x25".decode(kind.encoding) == "\n"
    except UnicodeDecodeError:
        ebcdic = False
    return text.replace("\x85" if ebcdic else "\r", "\n")


def numbering(name: str, header: dict[str, str], kind: FileKind) -> tuple[int | None, int | None]:
    """(period, sequence) of a file by its name, then by its header; None where neither says so."""
    found = re.search(kind.name, name) if kind.name else None
    groups = found.groupdict() if found else {}

    def number(what: str) -> int | None:
        digits = re.sub(r"[^0-9]", "", groups.get(what) or header.get(what) or "")
        return int(digits[:DIGITS_MAX]) if digits else None

    return number("period"), number("sequence")
