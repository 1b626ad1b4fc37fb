"""What every table is made of: the naming rules, the column kinds, and the catalogue itself."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from db.money_column import Amount, amount_check

SCHEMAS = ("raw", "canonical", "process", "measure", "governance")

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def text(name: str, *, null: bool = False, key: bool = False, default: str | None = None) -> sa.Column[str]:
    """A text column; identifiers of other systems are always text, so that leading zeros survive."""
    return sa.Column(name, sa.Text, nullable=null and not key, primary_key=key, server_default=default)


def when(name: str, *, null: bool = False) -> sa.Column[datetime]:
    """A moment, UTC."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def day(name: str, *, null: bool = True) -> sa.Column[date]:
    """A business date: never shifted by a time zone."""
    return sa.Column(name, sa.Date, nullable=null)


def amount(name: str, *, null: bool = True) -> sa.Column[Decimal]:
    """Money: numeric(19,4); NaN, infinities and silent rounding are refused."""
    return sa.Column(name, Amount, amount_check(name), nullable=null)


def currency(name: str = "currency", *, null: bool = True) -> sa.Column[str]:
    """An ISO 4217 code."""
    return sa.Column(name, sa.Text, sa.CheckConstraint(f"{name} ~ '^[A-Z]{{3}}$'", name=f"{name}_iso"), nullable=null)


def flag(name: str, *, default: bool = False) -> sa.Column[bool]:
    """A yes or no, no unless said."""
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.text("true" if default else "false"))


def whole(name: str, *, null: bool = True, default: int | None = None) -> sa.Column[int]:
    """A whole number that fits 32 bits."""
    return sa.Column(name, sa.Integer, nullable=null, server_default=None if default is None else sa.text(str(default)))


def big(name: str, *, null: bool = False, default: int | None = None) -> sa.Column[int]:
    """A whole number that fits 64 bits: versions, hashes, references to rows."""
    return sa.Column(name, sa.BigInteger, nullable=null, server_default=None if default is None else sa.text(str(default)))


def identity(name: str = "id") -> sa.Column[int]:
    """A number the database hands out."""
    return sa.Column(name, sa.BigInteger, sa.Identity(always=False), primary_key=True)


def document(name: str, *, null: bool = False) -> sa.Column[object]:
    """A JSON document; an empty object unless said otherwise."""
    return sa.Column(name, pg.JSONB, nullable=null, server_default=None if null else sa.text("'{}'::jsonb"))


def texts(name: str) -> sa.Column[list[str]]:
    """A list of texts; empty unless said otherwise."""
    return sa.Column(name, pg.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'::text[]"))


def figure(name: str) -> sa.Column[Decimal]:
    """A measure's value in its own unit: money of any company, days, counts and shares alike."""
    return sa.Column(name, sa.Numeric(28, 8), nullable=True)


def share(name: str, *, null: bool = True) -> sa.Column[Decimal]:
    """A ratio or a rate, exact to eight decimals."""
    return sa.Column(name, sa.Numeric(18, 8), nullable=null)
