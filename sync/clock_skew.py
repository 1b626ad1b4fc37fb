"""How far another system's clock is from ours, by the Date header of its answer. Pure: both times come in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from sync.ports import Finding

TOLERATED_SECONDS = 60


def clock_finding(headers: Mapping[str, str], *, wall: datetime) -> Finding:
    """A line of `connections test`: `wall` is our wall time (UTC) when the answer came. A Date header has whole seconds.

    Stamps by which changes are found, signatures and tokens all lean on the clocks agreeing: a minute apart is said to be wrong.
    """
    said = headers.get("date")
    try:
        theirs = parsedate_to_datetime(said or "")
    except (TypeError, ValueError):
        return Finding("clock", ok=True, words="the system does not tell its time: its clock could not be compared with ours")
    stamp = theirs.replace(tzinfo=UTC) if theirs.tzinfo is None else theirs.astimezone(UTC)
    apart = round((stamp - wall).total_seconds())
    if abs(apart) <= TOLERATED_SECONDS:
        return Finding("clock", ok=True, words=f"the system's clock and ours are {abs(apart)} s apart")
    which = "ahead of" if apart > 0 else "behind"
    return Finding("clock", ok=False, words=f"the system's clock is {abs(apart)} s {which} ours: have both machines keep time (NTP)")
