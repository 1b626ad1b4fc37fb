"""The facts of treasury's rules: which invoices a received payment names, and how much cash there is against the minimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa

from db.engine import Reading
from sync.connections import Landscape
from sync.rules import reconciliation
from sync.rules.liquidity import RULE as LIQUIDITY
from sync.rules.liquidity import Liquidity
from sync.rules.reconciliation import BankLine, Candidate, Reconciliation

if TYPE_CHECKING:
    from sync.process_situation import Event

_LINES = """
select p.source, p.source_key, p.region, p.legal_entity, p.amount, p.currency, p.value_date, p.reference, p.end_to_end_id,
       t.structured_reference, t.remittance
from canonical.payment p
left join canonical.bank_transaction t on t.source = p.source and t.source_key = p.source_key
where not p.is_deleted and p.amount > 0
  and (p.source, p.source_key) in (select * from unnest(cast(:sources as text[]), cast(:keys as text[])))
"""

# Open when the money came: what the ERP posted on that day or later may be this very payment.
_NAMED = """
select i.source, i.source_key, i.number, i.currency, i.payment_reference, i.gross - coalesce((
         select sum(a.amount) from canonical.payment_application a
         where a.source = i.source and a.invoice_key = i.source_key and not a.is_reversed and not a.is_deleted
           and a.clearing_date < :before), 0) as open_amount
from canonical.invoice i
where not i.is_deleted and i.status in ('posted', 'cleared') and (i.number = any(:words) or i.payment_reference = any(:words))
order by i.source, i.source_key
"""


def payments(conn: Reading, events: Sequence[Event], banks: Sequence[str]) -> list[tuple[Event, Reconciliation]]:
    """The lines of `banks` that were received, each with the invoices whose references it names."""
    received = {(event.source, event.source_key): event for event in events if event.source in banks}
    if not received:
        return []
    keys = sorted(received)
    bound = {"sources": [source for source, _ in keys], "keys": [key for _, key in keys]}
    rows = conn.execute(sa.text(_LINES), bound).mappings().all()
    return [(received[row["source"], row["source_key"]], _facts(conn, row)) for row in rows]


def _facts(conn: Reading, row: sa.RowMapping) -> Reconciliation:
    line = BankLine(
        source=row["source"],
        key=row["source_key"],
        region=row["region"],
        amount=row["amount"],
        currency=row["currency"],
        legal_entity=row["legal_entity"],
        structured_reference=row["structured_reference"] or row["reference"],
        remittance=row["remittance"],
        end_to_end_id=row["end_to_end_id"],
    )
    words = sorted(reconciliation.references(line))
    found = conn.execute(sa.text(_NAMED), {"words": words, "before": row["value_date"] or date.max}).mappings() if words else ()
    names = ("source", "number", "currency", "open_amount", "payment_reference")
    return Reconciliation(
        line=line, candidates=tuple(Candidate(**{name: each[name] for name in names}, key=each["source_key"]) for each in found)
    )


def cash(conn: Reading, landscape: Landscape, event: Event, today: date) -> list[tuple[Event, Liquidity]]:
    """Cash against each currency's minimum, once a day and currency: what was said today is not said again."""
    minimums: Mapping[str, str] = landscape.minimum_cash
    if not minimums:
        return []
    said = set(
        conn.scalars(
            sa.text("select subject_key from process.decision where rule = :rule and cast(decided_at at time zone 'UTC' as date) = :today"),
            {"rule": LIQUIDITY, "today": today},
        )
    )
    rows = conn.execute(
        sa.text("select currency, sum(amount) as position from measure.cash_position where currency = any(:wanted) group by currency"),
        {"wanted": sorted(set(minimums) - said)},
    )
    return [
        (
            event,
            Liquidity(region=event.region, currency=row.currency, on=today, position=row.position, minimum=Decimal(minimums[row.currency])),
        )
        for row in rows
    ]
