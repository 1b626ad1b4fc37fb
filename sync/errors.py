"""What can go wrong with another company's system; the type carries the retry decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

Kind = Literal["auth", "quota", "transient", "permanent", "partial", "unknown", "data"]


class SourceError(Exception):
    """Something went wrong with a system. `detail` is safe to show: it never holds a secret."""

    kind: ClassVar[Kind] = "transient"
    code: str = ""
    """The system's own code for what went wrong, where its adapter notes one."""

    def __init__(self, detail: str, *, connection: str = "", subject: str = "", status: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.connection = connection
        self.subject = subject
        self.status = status


class AuthError(SourceError):
    """The credentials were refused, also after one refresh. A person has to act: the stream stops."""

    kind = "auth"
    stopped: ClassVar[str] = "the system refuses our credentials"
    """Why the stream stops, in words."""
    cause: ClassVar[str] = "source_auth"


class IdentityError(AuthError):
    """The server is not the one that the connection knows: another host key than the one pinned. Nothing was sent to it."""

    stopped = "the server is not the one we know"
    cause = "source_identity"


class QuotaError(SourceError):
    """The system asks us to wait. `retry_at` (UTC, wall time) is its own word, or None when it gave none."""

    kind = "quota"

    def __init__(self, detail: str, *, retry_at: datetime | None = None, connection: str = "", status: int | None = 429) -> None:
        super().__init__(detail, connection=connection, status=status)
        self.retry_at = retry_at


class TransientError(SourceError):
    """An outage, a time-out, a cut body: the same call may go through later."""

    kind = "transient"


class PermanentError(SourceError):
    """The request is wrong and stays wrong: an unknown field, a missing permission, a forbidden object."""

    kind = "permanent"


class PartialError(SourceError):
    """Some records of a write passed and some did not; `failures` says which and why."""

    kind = "partial"

    def __init__(self, detail: str, *, failures: dict[str, str], connection: str = "") -> None:
        super().__init__(detail, connection=connection)
        self.failures = failures


class UnknownOutcome(SourceError):
    """A write left us and no answer came: it may or may not have happened. Read the target before any retry."""

    kind = "unknown"


class ConflictError(SourceError):
    """The record changed since it was read (412/428): read again and decide again."""

    kind = "permanent"


class DataError(SourceError):
    """A page or a file can't be believed as a whole: it is quarantined with its bytes; `evidence` says why."""

    kind = "data"

    def __init__(self, detail: str, *, cause: str, evidence: dict[str, object] | None = None, connection: str = "") -> None:
        super().__init__(detail, connection=connection)
        self.cause = cause
        self.evidence = evidence or {}


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """What to do after a failure: retry after so many seconds, park until a moment (UTC), or stop and raise an exception item."""

    action: Literal["retry", "park", "stop"]
    delay_seconds: float = 0.0
    until: datetime | None = None


MAX_ATTEMPTS = 5
PARK_ABOVE_SECONDS = 900


def decide_retry(error: SourceError, attempt: int, *, now: datetime, jitter: float) -> RetryDecision:
    """The decision for `error` after its `attempt`-th try (from 1); `now` is wall time, UTC; `jitter` in [0, 1) comes from the caller."""
    if isinstance(error, QuotaError) and error.retry_at is not None:
        wait = max((error.retry_at - now).total_seconds(), 0.0)
        if wait > PARK_ABOVE_SECONDS:
            return RetryDecision("park", until=error.retry_at)
        return RetryDecision("retry", delay_seconds=wait)
    if error.kind in ("auth", "permanent", "data", "unknown", "partial") or attempt >= MAX_ATTEMPTS:
        return RetryDecision("stop")
    return RetryDecision("retry", delay_seconds=min(2.0**attempt, 60.0) * (0.5 + jitter / 2))
