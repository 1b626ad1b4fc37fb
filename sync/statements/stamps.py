"""When a bank made a statement: its version, and the moment of its change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sync.statements.model import Statement, refuse
from sync.statements.owners import Owners


def made_at(statement: Statement, owners: Owners, received: datetime | None) -> datetime:
    """The bank's stamp, UTC. One without an offset counts in the zone of the connection or of the account's owner, or is refused; a
    statement that says nothing of its time (an MT942 without `:13D:`) was made when it was `received`.

    A format that has only days (MT940) gives the end of its day, in that zone or in UTC, and never a moment after `received`.
    """
    text = statement.created or ""
    if not text and received is not None:
        return received.astimezone(UTC)
    if len(text) == 10:
        return _end_of(text, statement, owners, received)
    day, midnight, rest = text.partition("T24:00:00")
    try:
        # XML Schema knows the end of a day as 24:00, Python only as the beginning of the next.
        made = datetime.fromisoformat(f"{day}T00:00:00{rest}") + timedelta(days=1) if midnight else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        refuse("bad_time", f"the statement's time {text!r} can't be read", statement, time=text)
    if made.tzinfo is not None:
        return made.astimezone(UTC)
    zone = owners.zone_of(statement.account, statement.currency)
    if zone is None:
        refuse("bad_time", f"the time {text!r} names no zone: set `zone` on connection {owners.connection}", statement, time=text)
    placed = made.replace(tzinfo=zone)
    if placed.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != made:
        refuse("bad_time", f"{text} does not exist in {zone.key}: the clocks went forward", statement, time=text)
    if placed.utcoffset() != made.replace(tzinfo=zone, fold=1).utcoffset():
        # Twice there in autumn: the later reading, so that nothing counts as known before it was.
        return made.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return placed.astimezone(UTC)


def _end_of(text: str, statement: Statement, owners: Owners, received: datetime | None) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        refuse("bad_date", f"the date {text!r} does not exist", statement, date=text)
    zone = owners.zone_of(statement.account, statement.currency) or ZoneInfo("UTC")
    end = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
    return end if received is None else min(end, received.astimezone(UTC))
