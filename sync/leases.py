"""One puller per stream: a lease by the database's clock, with a fencing token that every data write checks.

A lease that ran out can be taken by another worker, which raises the token. The old holder, should it wake up, finds that its
token is no longer the current one in the same statement that guards its write, and its transaction is rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from db.engine import Writing

LEASE_SECONDS = 30
RENEW_SECONDS = 10


class Fenced(RuntimeError):
    """Another worker holds the stream now: this one's write was refused and rolled back."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to one stream; `token` grows with every grant."""

    connection: str
    stream: str
    token: int
    owner: str


_WHO = "connection = :connection and stream = :stream"
_HELD = f"{_WHO} and lease_token = :token and lease_until > clock_timestamp()"
_UNTIL = "clock_timestamp() + make_interval(secs => :seconds)"


def acquire(conn: Writing, connection: str, stream: str, owner: str, *, now: datetime, seconds: float = LEASE_SECONDS) -> Lease | None:
    """The lease of the stream, or None while another owner's has not run out. The stream must be registered.

    A stream whose row is locked is being written: it is not waited for. `now` is business time, written down as the moment of the
    attempt; the lease itself runs by the database's clock.
    """
    token = conn.scalar(
        sa.text(
            f"update process.stream set lease_token = lease_token + 1, lease_owner = :owner, lease_until = {_UNTIL},"
            f" last_attempt_at = :now where ctid = (select ctid from process.stream where {_WHO}"
            "  and (lease_until is null or lease_until <= clock_timestamp()) for update skip locked) returning lease_token"
        ),
        {"connection": connection, "stream": stream, "owner": owner, "seconds": seconds, "now": now},
    )
    return None if token is None else Lease(connection, stream, int(token), owner)


def hold(conn: Writing, lease: Lease, *, seconds: float = LEASE_SECONDS) -> None:
    """Fences the running transaction: renews the lease and locks its row until the transaction ends.

    Raises Fenced when the lease ran out or another owner took it; the caller's transaction must then be rolled back.
    """
    renewed = conn.execute(
        sa.text(f"update process.stream set lease_until = {_UNTIL} where {_HELD}"),
        {"connection": lease.connection, "stream": lease.stream, "token": lease.token, "seconds": seconds},
    )
    if renewed.rowcount != 1:
        raise Fenced(
            f"{lease.connection}/{lease.stream}: lease {lease.token} of {lease.owner} is no longer valid; "
            "nothing was written, the stream's present holder goes on from the committed cursor"
        )


def release(conn: Writing, lease: Lease) -> None:
    """Gives the lease back, if it is still ours; the token stays spent."""
    conn.execute(
        sa.text(f"update process.stream set lease_until = null, lease_owner = null where {_WHO} and lease_token = :token"),
        {"connection": lease.connection, "stream": lease.stream, "token": lease.token},
    )
