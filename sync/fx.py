"""Reference rates as they are used: which currencies are needed, and what one euro is worth in each of them on a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

import sqlalchemy as sa

from db.engine import Reading

BASE = "EUR"
# One look into the index per currency, not one at each of its days; of two sources' rates of a day the one that goes first.
_RATES_AT = """
with recursive code(currency) as (
  (select currency from canonical.fx_rate order by currency limit 1)
  union all
  select (select r.currency from canonical.fx_rate r where r.currency > code.currency order by r.currency limit 1)
  from code where code.currency is not null
)
select code.currency, used.units_per_eur, used.rate_date from code cross join lateral (
  select r.units_per_eur, r.rate_date from canonical.fx_rate r
  where r.currency = code.currency and r.rate_date <= :on and not r.is_deleted order by r.rate_date desc, r.precedence, r.source limit 1
) used
"""


def in_use(conn: Reading, configured: Iterable[str]) -> set[str]:
    """The currencies of the configuration and of the facts that are stored."""
    found = conn.execute(
        sa.text(
            "select currency from canonical.invoice where currency is not null"
            " union select currency from canonical.sales_order where currency is not null"
            " union select currency from canonical.credit_limit where currency is not null"
            " union select currency from canonical.contract where currency is not null"
            " union select currency from canonical.bank_balance where currency is not null"
        )
    ).scalars()
    return {*configured, *(str(code) for code in found)}


def rates_at(conn: Reading, on: date) -> Mapping[str, tuple[Decimal, date]]:
    """Units per euro of every stored currency, and the date of the rate: that of `on` or the last before it."""
    rows = conn.execute(sa.text(_RATES_AT), {"on": on})
    rates = {str(row.currency): (Decimal(row.units_per_eur), row.rate_date) for row in rows}
    return {BASE: (Decimal(1), on), **rates}
