"""What a connection remembers between calls: the source's own "wait", how many calls are left, and whether it is down.

One gate per connection and process. It never sleeps: it refuses the call with the error that says until when.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from sync.errors import QuotaError, SourceError, TransientError

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 30.0
OPEN_SECONDS_MAX = 60.0
_LONGEST_WAIT = timedelta(days=2)


def retry_at(header: str | None, *, now: datetime) -> datetime | None:
    """The moment (UTC) that a Retry-After names, in seconds or as a date; None for an absent or unreadable one."""
    text = (header or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return now + min(timedelta(seconds=int(text[:9])), _LONGEST_WAIT)
    try:
        named = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    moment = named.replace(tzinfo=UTC) if named.tzinfo is None else named.astimezone(UTC)
    return min(max(moment, now), now + _LONGEST_WAIT)


@dataclass
class Budget:
    """Calls against a daily limit: our own count of the UTC day, and what the source says of its own count.

    `limit` None: no limit known. The source's word wins where it is higher, since others call it too.
    """

    limit: int | None = None
    counted: int = 0
    day: str = ""
    told_used: int | None = None
    told_limit: int | None = None

    @property
    def used(self) -> int:
        """Calls used, by the higher of the two counts."""
        return max(self.counted, self.told_used or 0)

    @property
    def standing(self) -> tuple[int, int | None]:
        """(used, limit): the system's own count where it tells one, else ours against the connection's budget."""
        if self.told_used is not None:
            return self.told_used, self.told_limit
        return self.counted, self.limit

    def count(self, now: datetime) -> None:
        """One call more; raises QuotaError, retry at midnight UTC, when the connection's own daily budget is used up."""
        today = now.date().isoformat()
        if today != self.day:
            self.day, self.counted = today, 0
        if self.limit is not None and self.counted >= self.limit:
            midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
            raise QuotaError(f"the daily budget of {self.limit} calls is used up; it begins anew at midnight UTC", retry_at=midnight)
        self.counted += 1

    def told(self, used: int, limit: int) -> None:
        """What the source says: so many of so many calls."""
        self.told_used, self.told_limit = used, limit


@dataclass
class Gate:
    """Lets a call through, or raises: QuotaError while the source asked us to wait, TransientError while it is down.

    Down: `FAILURES_TO_OPEN` outages in a row close it for 30 s, then one call may try; each failed try doubles the time.
    """

    budget: Budget = field(default_factory=Budget)
    not_before: datetime | None = None
    failures: int = 0
    closed_until: datetime | None = None
    _trying: bool = False
    _seconds: float = OPEN_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def enter(self, now: datetime) -> None:
        """Before a call; `now` is wall time, UTC."""
        with self._lock:
            if self.not_before is not None and now < self.not_before:
                raise QuotaError("not called: the system asked us to wait", retry_at=self.not_before)
            if self.closed_until is not None:
                if now < self.closed_until or self._trying:
                    raise TransientError(f"not called: {self.failures} outages in a row, tried again at {self.closed_until:%H:%M:%S} UTC")
                self._trying = True
            try:
                self.budget.count(now)
            except QuotaError:
                self._trying = False
                raise

    def abandon(self) -> None:
        """After a call that ended by something that says nothing of the system, such as an interrupt."""
        with self._lock:
            self._trying = False

    def leave(self, error: SourceError | None, now: datetime) -> None:
        """After a call: `error` is what became of it, None when it went well."""
        with self._lock:
            self._trying = False
            if isinstance(error, QuotaError) and error.retry_at is not None:
                self.not_before = error.retry_at
            if error is None or error.kind not in ("transient", "unknown"):
                self.failures, self.closed_until, self._seconds = 0, None, OPEN_SECONDS
                return
            self.failures += 1
            if self.failures >= FAILURES_TO_OPEN:
                self.closed_until = now + timedelta(seconds=self._seconds)
                self._seconds = min(self._seconds * 2, OPEN_SECONDS_MAX)


_GATES: dict[tuple[str, str], Gate] = {}
_GATES_LOCK = threading.Lock()


def gate_of(connection: str, origin: str, daily_budget: int | None) -> Gate:
    """The process's one gate for this connection at this origin, so that a new client remembers what the last one learnt."""
    with _GATES_LOCK:
        return _GATES.setdefault((connection, origin), Gate(Budget(daily_budget)))
