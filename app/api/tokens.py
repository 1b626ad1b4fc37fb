"""API tokens: random, shown once, kept as digests; each with scopes and regions."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from db.engine import Reading, Writing
from db.schema.governance import api_token

SCOPES = ("invoices:read", "receivables:read", "exposure:read", "journeys:read")
_PREFIX = "tg_"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose token it is, and what it may ask. `regions` None: all."""

    name: str
    scopes: frozenset[str]
    regions: frozenset[str] | None


def digest(token: str) -> bytes:
    """How a token is kept: 32 random bytes need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def create(
    conn: Writing,
    *,
    name: str,
    scopes: Sequence[str],
    regions: Sequence[str],
    created_by: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> str:
    """Makes a token and returns it, the only time it can be seen. Raises ValueError for a scope that does not exist."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise ValueError(f"no such scope: {', '.join(unknown)}; there are {', '.join(SCOPES)}")
    token = _PREFIX + secrets.token_urlsafe(32)
    conn.execute(
        api_token.insert().values(
            name=name,
            digest=digest(token),
            scopes=list(scopes),
            regions=list(regions),
            created_at=now,
            created_by=created_by,
            expires_at=expires_at,
        )
    )
    return token


def find(conn: Reading, token: str, *, wall_now: datetime) -> Bearer | None:
    """Whose `token` is, if it lives."""
    row = conn.execute(sa.select(api_token).where(api_token.c.digest == digest(token), api_token.c.revoked_at.is_(None))).first()
    if row is None or (row.expires_at is not None and row.expires_at <= wall_now):
        return None
    return Bearer(row.name, frozenset(row.scopes), None if "*" in row.regions else frozenset(row.regions))


def revoke(conn: Writing, name: str, *, now: datetime) -> int:
    """Ends every living token called `name`; returns how many."""
    return conn.execute(
        api_token.update().where(api_token.c.name == name, api_token.c.revoked_at.is_(None)).values(revoked_at=now)
    ).rowcount
