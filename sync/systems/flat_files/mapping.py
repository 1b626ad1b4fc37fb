"""A declared file -> canonical frames and verdicts over the file as a whole. Pure and vectorised: bytes in, frames out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from sync.declared.columns import typed
from sync.declared.mapping import Speaker, Telling, fed
from sync.errors import DataError
from sync.ports import ControlTotal, Mapped
from sync.systems.flat_files import totals, wire
from sync.systems.flat_files.declaration import FileKind
from sync.systems.flat_files.tables import joined, tables

_SEQUENCE_DIGITS = 6
_DIGITS = 18
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a file arrived: `received_at` (UTC), its manifest's text, and what the cursor knew of its name and sequence."""

    name: str
    received_at: datetime
    manifest: str | None = None
    conflict: str | None = None
    """In words: which earlier file had this name or sequence with other content."""
    previous_sequence: int | None = None
    too_large: int | None = None
    """The file's size in bytes, when it was too large to be read and only its head is here."""


def map_file(body: bytes, arrival: Arrival, kind: FileKind, speaker: Speaker) -> Mapped:
    """The file in canonical words. Raises DataError when it can't be believed as a whole: unreadable, cut, its control totals
    disagree, a refused conflict, or more rejects than `reject_limit_share` allows. Then nothing of it lands.
    """
    if arrival.conflict is not None and kind.on_conflict == "refuse":
        raise DataError(f"{arrival.name}: {arrival.conflict}", cause="file_conflict", evidence={"conflict": arrival.conflict})
    if arrival.too_large is not None:
        raise wire.unreadable(f"{arrival.name} has {arrival.too_large} bytes; {kind.max_bytes} are allowed", bytes=arrival.too_large)
    told = totals.manifest(body, arrival.manifest, kind)
    parts = tables(body, kind)
    table = joined([part for _, part in parts])
    lines, problems = typed(table, kind, speaker.zone)
    verdicts = _totals(arrival.name, parts, table, lines, kind, told) + _noted(arrival, table, kind)
    telling = Telling(arrival.name, arrival.received_at, _version(arrival, table, kind))
    return replace(fed(table, lines, problems, kind, speaker, telling), control_totals=verdicts)


def _totals(
    name: str, parts: list[tuple[str, wire.Table]], table: wire.Table, lines: pl.DataFrame, kind: FileKind, told: totals.Declared | None
) -> tuple[ControlTotal, ...]:
    """The verdicts over the file; of an archive, over each of its files by its own trailer, and over all of them by the manifest."""
    if len(parts) == 1:
        voices = [voice for voice in (totals.trailer(parts[0][1], kind), told) if voice is not None]
        return totals.checked(name, table, lines, kind, voices)
    verdicts: list[ControlTotal] = []
    first = 0
    for inner, part in parts:
        voice = totals.trailer(part, kind)
        if voice is not None:
            own = lines.filter(pl.col("ordinal").is_between(first, first + part.records, closed="left"))
            verdicts += totals.checked(f"{name}/{inner}", part, own, kind, [voice])
        first += part.records
    if told is not None or not verdicts:
        verdicts += totals.checked(name, table, lines, kind, [] if told is None else [told])
    return tuple(verdicts)


def _version(arrival: Arrival, table: wire.Table, kind: FileKind) -> int:
    """The version of rows that have none of their own: the file's period and sequence; 0 without them, and the later received wins."""
    period, sequence = wire.numbering(arrival.name, table.header, kind)
    # Nothing is cut off: a moment of 14 digits, or a series beyond a million, would begin anew and never overwrite what is there.
    room = min(_SEQUENCE_DIGITS, _DIGITS - len(str(period or 0)))
    shift = int(10 ** max(room, 0))
    return min((period or 0) * shift + (sequence or 0), _LARGEST)


def _noted(arrival: Arrival, table: wire.Table, kind: FileKind) -> tuple[ControlTotal, ...]:
    """Verdicts about the file's place among the others: a gap before it, another file under its name."""
    found: list[ControlTotal] = []
    _, sequence = wire.numbering(arrival.name, table.header, kind)
    if sequence is not None and arrival.previous_sequence is not None:
        follows = sequence <= arrival.previous_sequence + 1
        place = f"{arrival.name}: sequence {sequence} after {arrival.previous_sequence}"
        found.append(ControlTotal(place, "sequence", follows))
    if arrival.conflict is not None and kind.on_conflict == "note":
        found.append(ControlTotal(arrival.name, "file_conflict", agree=False))
    return tuple(found)
