"""How soon an exception should have its answer: hours of a business calendar, Monday to Friday, nine to five. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

HOURS = {"critical": 2, "high": 4, "medium": 8, "low": 24}
"""Working hours until an exception of each severity is due."""

OPENS, CLOSES = time(9), time(17)


def due(severity: str, now: datetime, zone: str = "UTC") -> datetime:
    """The moment (UTC) by which an exception first seen at `now` is due, counting working hours in the IANA `zone`."""
    return after(now, timedelta(hours=HOURS.get(severity, HOURS["medium"])), zone)


def after(now: datetime, work: timedelta, zone: str = "UTC") -> datetime:
    """`work` of working time after `now`. Raises ValueError for a naive `now`."""
    if now.tzinfo is None:
        raise ValueError(f"{now.isoformat()} has no time zone")
    place = ZoneInfo(zone)
    at = now.astimezone(place)
    while True:
        opens = datetime.combine(at.date(), OPENS, place)
        closes = datetime.combine(at.date(), CLOSES, place)
        if at.weekday() < 5 and at < closes:
            start = max(at, opens)
            left = closes - start
            if work <= left:
                return (start + work).astimezone(UTC)
            work -= left
        at = datetime.combine(at.date() + timedelta(days=1), OPENS, place)
