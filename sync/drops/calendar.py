"""Which files are due when: a declared calendar with a cut-off, and what of it has come. Pure: time comes in as an argument."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from sync.declared.declaration import Part, known_zone
from sync.ports import Arrived, Expected

LOOK_BACK = timedelta(days=35)
"""What was due longer ago is history: nobody waits for it."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Calendar(Part):
    """One file is due on each of these weekdays that is no holiday, by a time of day (HH:MM) in `zone` (else the connection's, else UTC).

    It is late `grace_minutes` after that, and missing `missing_after_hours` after that. `days_later`: how many days after its own day a file
    is due, where it is named by the business day that it reports. `first_day`: the first day that a file is expected for.
    """

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ("mon", "tue", "wed", "thu", "fri")
    by: clock_time
    zone: str | None = None
    holidays: tuple[date, ...] = ()
    grace_minutes: int = Field(default=0, ge=0)
    missing_after_hours: int = Field(default=24, ge=0)
    days_later: int = Field(default=0, ge=0, le=31)
    first_day: date | None = None

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str | None) -> str | None:
        return known_zone(zone)

    @field_validator("by")
    @classmethod
    def _by_is_local(cls, by: clock_time) -> clock_time:
        if by.tzinfo is not None:
            raise ValueError("`by` is a time of day in `zone`, such as 18:30, without an offset")
        return by

    def is_due_for(self, day: date) -> bool:
        """Whether a file is expected for `day`."""
        return _DAYS[day.weekday()] in self.days and day not in self.holidays and (self.first_day is None or day >= self.first_day)

    def due(self, day: date, zone: str | None) -> datetime:
        """By when (UTC) the file of `day` is due. A time that a clock change skips counts as the same span later, one that it repeats as
        the later of the two: nobody is late by a clock change.
        """
        local = datetime.combine(day + timedelta(days=self.days_later), self.by, ZoneInfo(self.zone or zone or "UTC"))
        return max(local, local.replace(fold=1), key=lambda each: each.astimezone(UTC)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class _Due:
    day: date
    at: datetime


def expected(
    calendar: Calendar, arrivals: Iterable[Arrived], *, zone: str | None, name: str | None, since: datetime | None, now: datetime
) -> Sequence[Expected]:
    """What was due since `since` (at most LOOK_BACK ago), and the next to come, each with what became of it; oldest first.

    `name`: the regular expression whose group `period` says the day of a file (YYYYMMDD). A file that names no day counts for the first day
    that is still open and whose time had begun when the file came: the moment at which the one before was due.
    """
    start = max(now - LOOK_BACK, since) if since is not None else now
    dues = list(_dues(calendar, zone, start, now))
    came = sorted(arrivals, key=lambda each: each.at)
    of_day: dict[date, Arrived] = {}
    for arrival in came:
        day = _day_of(arrival.name, name)
        if day is not None:
            of_day.setdefault(day, arrival)
    for arrival in (each for each in came if _day_of(each.name, name) is None):
        before: datetime | None = None
        for due in dues:
            if due.day not in of_day and (before is None or before < arrival.at):
                of_day[due.day] = arrival
                break
            before = due.at
    return [_judged(calendar, due, of_day.get(due.day), now) for due in dues]


def _dues(calendar: Calendar, zone: str | None, start: datetime, now: datetime) -> Iterator[_Due]:
    """What was due between `start` and `now`, and the next."""
    day = (start - timedelta(days=2 + calendar.days_later)).date()
    for _ in range(LOOK_BACK.days * 3):
        if calendar.is_due_for(day):
            at = calendar.due(day, zone)
            if at >= start:
                yield _Due(day, at)
            if at >= now:
                return
        day += timedelta(days=1)


def _judged(calendar: Calendar, due: _Due, arrival: Arrived | None, now: datetime) -> Expected:
    subject, by = due.day.isoformat(), f"{due.at:%Y-%m-%d %H:%M} UTC"
    if arrival is not None:
        late = arrival.at > due.at + timedelta(minutes=calendar.grace_minutes)
        return Expected(subject, due.at, "received", f"came as {arrival.name}{', late' if late else ''}")
    late_from = due.at + timedelta(minutes=calendar.grace_minutes)
    if now <= late_from:
        return Expected(subject, due.at, "expected", f"is due by {by}")
    if now <= late_from + timedelta(hours=calendar.missing_after_hours):
        return Expected(subject, due.at, "late", f"the file of {subject} was due by {by} and has not come")
    hours = (now - due.at) // timedelta(hours=1)
    return Expected(subject, due.at, "missing", f"the file of {subject} was due by {by} and has not come for {hours} hours")


def _day_of(name: str, pattern: str | None) -> date | None:
    """The day that a file's name says, or None."""
    found = re.search(pattern, name) if pattern else None
    period = re.sub(r"[^0-9]", "", (found.groupdict().get("period") or "") if found else "")
    try:
        # A period may be a moment too, to the hour, the minute or the second: its day counts.
        return datetime.strptime(period[:8], "%Y%m%d").replace(tzinfo=UTC).date() if len(period) in (8, 10, 12, 14) else None
    except ValueError:
        return None


def calendars(options: Mapping[str, Any]) -> dict[str, tuple[Calendar, str | None]]:
    """Stream -> its calendar and the expression on its files' names, of those kinds of files in a connection's options that have one."""
    kinds = [kind for kind in options.get("files", ()) if isinstance(kind, Mapping) and kind.get("expect")]
    return {str(kind["stream"]): (Calendar.model_validate(kind["expect"]), kind.get("name")) for kind in kinds}
