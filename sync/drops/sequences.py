"""Which files of a numbered series were skipped. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from sync.ports import Arrived, Expected

SINGLE_MAX = 20
"""A longer gap is one matter, not one for each number."""


def skipped(arrivals: Iterable[Arrived], *, name: str | None, since: datetime | None) -> Sequence[Expected]:
    """The numbers that were passed over since `since` (when the stream went live), each `missing`, or `received` once it came after all.

    `name`: the regular expression whose group `sequence` says a file's number; without one there is no series. Lower numbers than the
    highest so far are late comers or a series that began anew: neither is a gap.
    """
    numbered = [(arrival, _number(arrival.name, name)) for arrival in arrivals]
    series = sorted(((arrival.at, number, arrival.name) for arrival, number in numbered if number is not None))
    found: dict[tuple[int, int], Expected] = {}
    top: int | None = None
    for at, number, file in series:
        for first, last in [gap for gap in found if gap[0] == gap[1] == number]:
            found[first, last] = Expected(f"sequence {number}", found[first, last].due, "received", f"came as {file}")
        live = since is not None and at > since
        if live and top is not None and number > top + 1:
            gaps = [(each, each) for each in range(top + 1, number)] if number - top - 1 <= SINGLE_MAX else [(top + 1, number - 1)]
            for first, last in gaps:
                subject = f"sequence {first}" if first == last else f"sequences {first} to {last}"
                found[first, last] = Expected(subject, at, "missing", f"{subject} was passed over: {file} came after number {top}")
        top = number if top is None else max(top, number)
    return list(found.values())


def _number(name: str, pattern: str | None) -> int | None:
    """The number that a file's name says, or None."""
    found = re.search(pattern, name) if pattern else None
    digits = re.sub(r"\D", "", (found.groupdict().get("sequence") or "") if found else "")
    return int(digits) if digits else None
