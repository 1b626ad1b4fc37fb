"""What every format of file has in common: its text, what it says of itself, its place among the others. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sync.declared.records import Records
from sync.errors import DataError
from sync.systems.flat_files.declaration import FileKind


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
    try:
        text = plain.decode(kind.encoding)
    except UnicodeDecodeError as error:
        raise unreadable(
            f"the file is not in its declared encoding {kind.encoding}: byte {error.start}", byte=error.start, reason=error.reason
        ) from error
    text = text.removeprefix("\ufeff")
    if kind.final_newline and not text.endswith("\n"):
        raise unreadable("the file's last line has no end: it was cut", tail=text[-80:])
    return text


def numbering(name: str, header: dict[str, str], kind: FileKind) -> tuple[int | None, int | None]:
    """(period, sequence) of a file by its name, then by its header; None where neither says so."""
    found = re.search(kind.name, name) if kind.name else None
    groups = found.groupdict() if found else {}

    def number(what: str) -> int | None:
        digits = re.sub(r"\D", "", groups.get(what) or header.get(what) or "")
        return int(digits) if digits else None

    return number("period"), number("sequence")
