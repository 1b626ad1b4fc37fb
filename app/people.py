"""The people in the database: recorded when they sign in, looked up again on every rerun and inside every action."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.desk import Person
from app.sign_in import Granted
from db.schema.governance import person, session


@dataclass(frozen=True, slots=True)
class Claims:
    """What the identity provider said of somebody."""

    subject: str
    issuer: str
    name: str | None
    email: str | None
    groups: tuple[str, ...]
    issued_at: datetime


def record(conn: sa.Connection, claims: Claims, granted: Granted, *, now: datetime) -> None:
    """Writes down who signed in with what groups give; somebody revoked stays revoked."""
    values = {
        "subject": claims.subject,
        "issuer": claims.issuer,
        "name": claims.name,
        "email": claims.email,
        "groups": list(claims.groups),
        "roles": list(granted.roles),
        "regions": list(granted.regions),
        "first_seen": now,
        "last_seen": now,
    }
    fresh = {key: value for key, value in values.items() if key not in ("subject", "issuer", "first_seen")}
    conn.execute(insert(person).values(values).on_conflict_do_update(index_elements=["subject", "issuer"], set_=fresh))
    conn.execute(
        insert(session)
        .values(id=session_id(claims), subject=claims.subject, issuer=claims.issuer, started_at=claims.issued_at, last_active_at=now)
        .on_conflict_do_update(index_elements=["id"], set_={"last_active_at": now})
    )


def session_id(claims: Claims) -> str:
    """One sign-in at the provider is one session: subject, issuer and the moment the identity token was issued."""
    return f"{claims.issuer}|{claims.subject}|{int(claims.issued_at.timestamp())}"


def look_up(conn: sa.Connection, claims: Claims, *, wall_now: datetime, session_hours: int) -> Person | None:
    """The person as the database has them this moment; None when revoked, unknown, or the session is over."""
    row = conn.execute(
        sa.select(person, session.c.ended_at)
        .join(session, (session.c.subject == person.c.subject) & (session.c.issuer == person.c.issuer))
        .where(person.c.subject == claims.subject, person.c.issuer == claims.issuer, session.c.id == session_id(claims))
    ).first()
    over = wall_now - claims.issued_at > timedelta(hours=session_hours)
    if row is None or row.revoked_at is not None or row.ended_at is not None or over:
        return None
    return as_person(row.subject, row.name, row.email, row.roles, row.regions)


def end_session(conn: sa.Connection, claims: Claims, *, now: datetime) -> None:
    """Ends the session here, whatever cookie is still about."""
    conn.execute(session.update().where(session.c.id == session_id(claims)).values(ended_at=now))


def as_person(subject: str, name: str | None, email: str | None, roles: Iterable[str], regions: Sequence[str]) -> Person:
    """A Person from a row; regions `['*']` become None: all of them."""
    return Person(
        subject=subject,
        name=name or subject,
        email=email,
        roles=frozenset(roles),
        regions=None if "*" in regions else frozenset(regions),
    )
