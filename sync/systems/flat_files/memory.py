"""What the cursor of a stream of files remembers: which files were taken, and their places in the sequence. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sync.ports import Cursor

REMEMBERED = 2000
"""Files that a cursor still knows after they have left the folder."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was taken. `digest`: SHA-256 in hex; `period` and `sequence`: 0 without."""

    name: str
    digest: str
    period: int
    sequence: int

    def entry(self) -> list[Any]:
        """The file as the cursor holds it."""
        return [self.name, self.digest, self.period, self.sequence]


class Memory:
    """A cursor as it is read; each file that is taken gives a new one. `present`: the names that lie in the folders now, none of which
    is forgotten: it would be taken anew, with what is long out of date.
    """

    def __init__(self, cursor: Cursor | None, present: Collection[str] = ()) -> None:
        self._present = present
        held: Mapping[str, Any] = cursor or {}
        self._entries: list[list[Any]] = [list(entry) for entry in held.get("files", [])]
        self.last_sequence: int | None = held.get("last_sequence")
        self.looks: Mapping[str, Sequence[int]] = held.get("looks", {})

    def knows(self, name: str) -> bool:
        """Whether a file of this name was taken."""
        return any(entry[0] == name for entry in self._entries)

    def is_new(self, name: str, period: int, sequence: int) -> bool:
        """Whether neither a file of this name nor one of this place in the series was taken: then nothing of it is known, whatever it holds."""
        return not any(entry[0] == name or (sequence and (entry[2], entry[3]) == (period, sequence)) for entry in self._entries)

    def took(self, name: str, digest: str) -> bool:
        """Whether exactly this file was taken before, under this name."""
        return any(entry[0] == name and entry[1] == digest for entry in self._entries)

    def took_as(self, period: int, sequence: int, digest: str) -> str | None:
        """The name under which the very bytes came before as the same sequence of the same period; None when they did not."""
        same = (entry[0] for entry in self._entries if sequence and entry[1:4] == [digest, period, sequence])
        return next(same, None)

    def conflict(self, name: str, period: int, sequence: int, digest: str) -> str | None:
        """Words for an earlier file of the same name, or of the same period and sequence, with other content."""
        for entry in reversed(self._entries):
            if entry[1] != digest and entry[0] == name:
                return f"{name} came before with other content, SHA-256 {entry[1]}"
            if entry[1] != digest and sequence and (entry[2], entry[3]) == (period, sequence):
                return f"{entry[0]} came before as sequence {sequence} with other content"
        return None

    def after(self, file: Taken) -> Memory:
        """The memory once this file is taken too."""
        files = self._within_bounds([*self._entries, file.entry()])
        last = max(file.sequence, self.last_sequence or 0) if file.sequence else self.last_sequence
        return Memory({"files": files, "last_sequence": last, "looks": self.looks}, self._present)

    def seeing(self, looks: Mapping[str, Sequence[int]], present: Collection[str]) -> Memory:
        """The memory with what the latest look showed: what grew, and the names of what is complete."""
        return Memory({**self.cursor(), "looks": looks}, present)

    def _within_bounds(self, entries: list[list[Any]]) -> list[list[Any]]:
        """Without the oldest of those that have left the folders, as far as there are too many."""
        surplus = len(entries) - REMEMBERED
        if surplus <= 0:
            return entries
        gone = {place for place, entry in islice(((p, e) for p, e in enumerate(entries) if e[0] not in self._present), surplus)}
        return [entry for place, entry in enumerate(entries) if place not in gone]

    def cursor(self) -> dict[str, Any]:
        """The memory as a cursor."""
        held = {"files": self._entries, "last_sequence": self.last_sequence}
        return {**held, "looks": dict(self.looks)} if self.looks else held
