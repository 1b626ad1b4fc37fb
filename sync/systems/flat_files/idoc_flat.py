"""The text of a flat IDoc file -> its table: control records of 524 positions, data records of 1063, with or without line breaks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sync.systems.flat_files import idoc
from sync.systems.flat_files.declaration import FileKind
from sync.systems.flat_files.idoc import Idoc, Segment
from sync.systems.flat_files.idoc_paths import CONTENT_LENGTH, CONTROL, CONTROL_FIELDS, CONTROL_LENGTH, DATA_FIELDS, HEAD_LENGTH
from sync.systems.flat_files.wire import Table, unreadable

DATA_LENGTH = HEAD_LENGTH + CONTENT_LENGTH
_VERSIONED = re.compile(r"([A-Z])2(\w+?)(\d{3})?")


def table(text: str, kind: FileKind) -> Table:
    """The IDocs of `text`. A record of another length refuses the file, or with `salvage` ends it: what came whole before is taken."""
    return idoc.table(_idocs(text, kind), kind)


def _idocs(text: str, kind: FileKind) -> Iterator[Idoc]:
    if not text.startswith(CONTROL):
        raise unreadable(f"the file does not begin with a control record {CONTROL}", head=text[:80])
    records: list[str] = []
    for record in _records(text, kind):
        if record is None:
            yield _cut(records, kind)
            return
        if record.startswith(CONTROL) and records:
            yield _idoc(records, kind)
            records = []
        records.append(record)
    yield _idoc(records, kind)


def _records(text: str, kind: FileKind) -> Iterator[str | None]:
    """The records in their order; None where the file is cut or broken and may be salvaged."""
    lines = text[CONTROL_LENGTH : CONTROL_LENGTH + 2].startswith(("\n", "\r\n")) if kind.framing == "auto" else kind.framing == "lines"
    for number, record in enumerate(_lines(text) if lines or kind.pad else _framed(text), start=1):
        length = CONTROL_LENGTH if record.startswith(CONTROL) else DATA_LENGTH
        if kind.pad:
            record = record.ljust(length)
        if len(record) != length:
            if kind.salvage:
                yield None
                return
            raise unreadable(
                f"record {number} has {len(record)} positions, not {length}: the file was cut or is framed otherwise",
                record=number,
                head=record[:80],
            )
        yield record


def _lines(text: str) -> Iterator[str]:
    # An empty line is none; a record's own blanks at its end are part of its length.
    return (line.removesuffix("\r") for line in text.split("\n") if line.strip("\r\x1a"))


def _framed(text: str) -> Iterator[str]:
    place = 0
    end = len(text.rstrip("\r\n\x1a"))
    while place < end:
        length = CONTROL_LENGTH if text.startswith(CONTROL, place) else DATA_LENGTH
        yield text[place : min(place + length, end)]
        place += length


def _idoc(records: list[str], kind: FileKind) -> Idoc:
    """The tree of one IDoc: its segments name their parents by number."""
    control = Segment(CONTROL, _fields(records[0], CONTROL_FIELDS))
    root = Segment("IDOC", children=[control])
    found = Idoc(root)
    if any("\0" in record for record in records):
        found.wrong = "a record of this IDoc holds a NUL character"
    by_number: dict[str, Segment] = {}
    for record in records[1:]:
        head = _fields(record, DATA_FIELDS)
        if head.get("DOCNUM") != control.fields.get("DOCNUM"):
            found.wrong = (
                f"a segment {head.get('SEGNAM')} of IDoc {head.get('DOCNUM')} stands among those of {control.fields.get('DOCNUM')}"
            )
        name, layout = _layout(head.get("SEGNAM", ""), kind.segments)
        segment = Segment(name, _fields(record[HEAD_LENGTH:], layout))
        by_number.get(head.get("PSGNUM", ""), root).children.append(segment)
        by_number[head.get("SEGNUM", "")] = segment
    return found


def _cut(records: list[str], kind: FileKind) -> Idoc:
    """The IDoc in which the file ends too early."""
    found = _idoc(records, kind) if records else Idoc(Segment("IDOC"))
    found.wrong = "the file was cut inside this IDoc"
    return found


def _fields(text: str, layout: Mapping[str, int]) -> dict[str, str]:
    """The fields that are not blank, by their widths in their order."""
    found: dict[str, str] = {}
    place = 0
    for name, width in layout.items():
        content = text[place : place + width].strip()
        if content:
            found[name] = content
        place += width
    return found


def segment_type(name: str) -> str:
    """The type of a segment by the name of its definition: `E2EDK01005` is version 005 of `E1EDK01`."""
    versioned = _VERSIONED.fullmatch(name)
    return f"{versioned[1]}1{versioned[2]}" if versioned else name


def _layout(name: str, segments: Mapping[str, Mapping[str, int]]) -> tuple[str, Mapping[str, int]]:
    """(type, field widths) of a segment; one that is not declared has no fields."""
    kind = name if name in segments else segment_type(name)
    return kind, segments.get(kind, {})
