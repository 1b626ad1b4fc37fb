"""What a connection remembers between calls: the source's own "wait", how many calls are left, and whether it is down.

One gate per connection and process. It never sleeps: it refuses the call with the error that says until when.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from sync.errors import QuotaError, SourceError, TransientError

RESERVE = 0.05
TOLD_REST = timedelta(hours=1)
FAILURES_TO_OPEN = 5
OPEN_SECONDS = 30.0
OPEN_SECONDS_MAX = 60.0
_LONGEST_WAIT = timedelta(days=2)
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
"""Whole seconds, as the standard has them, or with decimals, as some say it all the same."""


def retry_at(header: str | None, *, now: datetime) -> datetime | None:
    """The moment (UTC) that a Retry-After names, in seconds or as a date; None for an absent or unreadable one."""
    text = (header or "").strip()
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        return now + min(timedelta(seconds=float(text[:9])), _LONGEST_WAIT)
    try:
        named = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    moment = named.replace(tzinfo=UTC) if named.tzinfo is None else named.astimezone(UTC)
    return min(max(moment, now), now + _LONGEST_WAIT)


@dataclass
class Budget:
    """Calls against a daily limit: our own count of the UTC day, and what the source says of its own count.

    `limit` None: no limit known. The source's word wins where it is higher, since others call it too. `reserve` is the share of the
    limit that is kept for what somebody waits for: a person's call, a write; the background stops before it.
    """

    limit: int | None = None
    counted: int = 0
    day: str = ""
    told_used: int | None = None
    told_limit: int | None = None
    told_at: datetime | None = None
    reserve: float = RESERVE

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

    def count(self, now: datetime, *, interactive: bool = False) -> None:
        """One call more; `interactive`: somebody waits for it, so it may draw on the reserve.

        Raises QuotaError: retry at midnight UTC when the connection's own daily budget is used up, in an hour when the system's own
        count leaves the reserve only, since that counts 24 rolling hours and others call it too.
        """
        today = now.date().isoformat()
        if today != self.day:
            self.day, self.counted = today, 0
        share = 1.0 if interactive else 1.0 - self.reserve
        if self.limit is not None and self.counted >= self.limit * share:
            midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
            raise QuotaError(f"{self._words(self.counted, self.limit)}; it begins anew at midnight UTC", retry_at=midnight)
        if not interactive and self._told_too_much(now):
            raise QuotaError(f"{self._words(self.told_used or 0, self.told_limit or 0)}, by its own count", retry_at=now + TOLD_REST)
        self.counted += 1

    def _words(self, used: int, limit: int) -> str:
        if used >= limit:
            return f"the daily budget of {limit} calls is used up"
        return f"{used} of the daily {limit} calls are used: the rest is kept for what somebody waits for"

    def _told_too_much(self, now: datetime) -> bool:
        """Whether the system's own count leaves the reserve only. An old word does not count: one call may ask anew after the rest."""
        if self.told_used is None or not self.told_limit or self.told_used < self.told_limit * (1.0 - self.reserve):
            return False
        if self.told_at is not None and now - self.told_at >= TOLD_REST:
            self.told_at = now
            return False
        return True

    def told(self, used: int, limit: int, *, at: datetime | None = None) -> None:
        """What the source says: so many of so many calls, told at `at` (wall time, UTC; None: now)."""
        self.told_used, self.told_limit, self.told_at = used, limit, at or datetime.now(UTC)


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

    def enter(self, now: datetime, *, interactive: bool = False) -> None:
        """Before a call; `now` is wall time, UTC; `interactive`: somebody waits for it."""
        with self._lock:
            if self.not_before is not None and now < self.not_before:
                raise QuotaError("not called: the system asked us to wait", retry_at=self.not_before)
            if self.closed_until is not None:
                if now < self.closed_until or self._trying:
                    raise TransientError(f"not called: {self.failures} outages in a row, tried again at {self.closed_until:%H:%M:%S} UTC")
                self._trying = True
            try:
                self.budget.count(now, interactive=interactive)
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


def counted_today(connection: str, now: datetime) -> int:
    """The calls that this process knows to have been made to the connection on the UTC day of `now`, by whichever process."""
    today = now.date().isoformat()
    with _GATES_LOCK:
        return max(
            (gate.budget.counted for (name, _), gate in _GATES.items() if name == connection and gate.budget.day == today), default=0
        )


def recall(connection: str, counted: int, now: datetime) -> None:
    """Calls that were made on the UTC day of `now` before this process began, or by another, count too."""
    today = now.date().isoformat()
    with _GATES_LOCK:
        for (name, _), gate in _GATES.items():
            if name == connection:
                gate.budget.counted = max(counted, gate.budget.counted if gate.budget.day == today else 0)
                gate.budget.day = today
