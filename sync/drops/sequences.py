"""Which files of a numbered series were skipped. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sync.ports import Arrived, Expected

SINGLE_MAX = 20
"""A longer gap is one matter, not one for each number."""


@dataclass(frozen=True, slots=True, order=True)
class _Numbered:
    """A file that came, by its number and the period that its name says (0 without)."""

    at: datetime
    period: int
    number: int
    name: str


@dataclass(frozen=True, slots=True)
class _Gap:
    """Numbers that were passed over. `anew`: the period in which their series began anew, 0 for the first one."""

    first: int
    last: int
    anew: int

    @property
    def subject(self) -> str:
        """As it is called in words."""
        words = f"sequence {self.first}" if self.first == self.last else f"sequences {self.first} to {self.last}"
        return f"{words} of {self.anew}" if self.anew else words


class _Series:
    """The series as far as it came."""

    def __init__(self, since: datetime | None) -> None:
        self._since = since
        self._top: int | None = None
        self._period = self._anew = 0
        self.found: dict[_Gap, Expected] = {}

    def take(self, file: _Numbered) -> None:
        """Takes the next file that came: it goes on with the series, begins it anew, or comes late."""
        if file.period < self._anew:
            self._closed(file, lambda gap: gap.anew <= file.period and (gap.anew == file.period or not gap.anew))
            return
        if self._begins_anew(file):
            self._top, self._anew = min(file.number, 1) - 1, file.period
        self._closed(file, lambda gap: gap.anew == self._anew)
        if self._since is not None and file.at > self._since and self._top is not None and file.number > self._top + 1:
            self._opened(file, self._top)
        self._top = file.number if self._top is None else max(self._top, file.number)
        self._period = max(self._period, file.period)

    def _begins_anew(self, file: _Numbered) -> bool:
        """A later period with a number that was there already: with 0 or 1, and with any once the series is known to begin anew."""
        if self._top is None or not self._period or file.period <= self._period or file.number > self._top:
            return False
        return file.number <= 1 or self._anew > 0

    def _opened(self, file: _Numbered, top: int) -> None:
        if file.number - top - 1 <= SINGLE_MAX:
            gaps = [_Gap(each, each, self._anew) for each in range(top + 1, file.number)]
        else:
            gaps = [_Gap(top + 1, file.number - 1, self._anew)]
        for gap in gaps:
            after = f"after number {top}" if top > 0 or not self._anew else "as the first"
            self.found[gap] = Expected(gap.subject, file.at, "missing", f"{gap.subject} was passed over: {file.name} came {after}")

    def _closed(self, file: _Numbered, belongs: Callable[[_Gap], bool]) -> None:
        for gap in [gap for gap in self.found if gap.first == gap.last == file.number and belongs(gap)]:
            self.found[gap] = Expected(gap.subject, self.found[gap].due, "received", f"came as {file.name}")


def skipped(arrivals: Iterable[Arrived], *, name: str | None, since: datetime | None) -> Sequence[Expected]:
    """The numbers that were passed over since `since` (when the stream went live), each `missing`, or `received` once it came after all.

    `name`: the regular expression whose group `sequence` says a file's number, and `period` its period; without `sequence` there is no series.
    A lower number than the highest so far is a late comer, or with a later period a series that began anew, from 1 (or 0): neither is a gap.
    """
    series = _Series(since)
    for file in sorted(each for each in (_numbered(arrival, name) for arrival in arrivals) if each is not None):
        series.take(file)
    return list(series.found.values())


def _numbered(arrival: Arrived, pattern: str | None) -> _Numbered | None:
    """The file with the numbers that its name says, or None."""
    found = re.search(pattern, arrival.name) if pattern else None
    said = found.groupdict() if found else {}
    number, period = (re.sub(r"[^0-9]", "", said.get(group) or "")[:18] for group in ("sequence", "period"))
    return _Numbered(arrival.at, int(period or 0), int(number), arrival.name) if number else None
