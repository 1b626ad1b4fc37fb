"""Amounts as database columns: numeric(19,4) that refuses what Postgres would round or take."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from db.money import PRECISION, SCALE, exact


class Amount(TypeDecorator[Decimal]):
    """numeric(19,4) that refuses on the way in what the database would round or take: NaN, infinities, floats."""

    impl = sa.Numeric(PRECISION, SCALE)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else exact(value)

    def process_literal_param(self, value: Decimal | None, dialect: sa.Dialect) -> str:  # noqa: ARG002
        return "NULL" if value is None else str(exact(value))

    def coerce_compared_value(self, op: Any, value: Any) -> Any:  # noqa: ARG002
        """Comparisons with an amount are bound as amounts, so they refuse the same values."""
        return self


def amount_check(column: str) -> sa.CheckConstraint:
    """A CHECK that keeps NaN out of `column`: `>= 0` alone lets it pass; infinities overflow the precision."""
    return sa.CheckConstraint(f"{column} <> 'NaN'", name=f"{column}_finite")
