"""The lookups' questions to the database, answered in plain mappings under the caller's scope."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from db.engine import Reading

_INVOICES = """
select i.*, c.number as customer_number, c.name as customer_name,
  coalesce((select sum(a.amount) from canonical.payment_application a where a.source = i.source and a.invoice_key = i.source_key
            and not a.is_reversed and not a.is_deleted), 0) as applied
from canonical.invoice i
left join canonical.customer c on c.source = i.source and c.source_key = i.customer_key
where i.number = :number and not i.is_deleted order by i.source, i.source_key
"""

_APPLICATIONS = """
select a.amount, a.currency, a.clearing_date, a.is_reversed, p.reference
from canonical.payment_application a
left join canonical.payment p on p.source = a.source and p.source_key = a.payment_key
where a.source = :source and a.invoice_key = :key and not a.is_deleted order by a.clearing_date, a.source_key
"""

_RECEIVABLES = """
with mine as (
  select f.*, case when f.open_amount < 0 then 'credits' when f.due_date is null or f.due_date >= :today then 'not due'
    when :today - f.due_date <= 30 then '1-30' when :today - f.due_date <= 60 then '31-60'
    when :today - f.due_date <= 90 then '61-90' else '90+' end as bucket
  from measure.invoice_fact f
  where (f.source, f.customer_key) in (select source, source_key from canonical.customer where number = :number and not is_deleted)
)
select bucket, sum(open_reporting) filter (where open_amount <> 0) as amount, count(*) filter (where open_amount <> 0) as open_count,
  count(*) as count, max(customer_name) as name
from mine group by bucket
"""

_MEDIAN = """
select percentile_cont(0.5) within group (order by days_to_pay) from measure.invoice_fact f
where days_to_pay is not null and not is_credit
  and (f.source, f.customer_key) in (select source, source_key from canonical.customer where number = :number and not is_deleted)
"""
_BUCKETS = ("not due", "1-30", "31-60", "61-90", "90+", "credits")


def invoice_answers(conn: Reading, number: str) -> list[Mapping[str, Any]]:
    """Every invoice with that number that the scope may see, in the shape of `lookups.Invoice`."""
    return [_invoice(conn, row) for row in conn.execute(sa.text(_INVOICES), {"number": number})]


def _invoice(conn: Reading, row: Any) -> Mapping[str, Any]:
    applications = conn.execute(sa.text(_APPLICATIONS), {"source": row.source, "key": row.source_key}).all()
    open_amount = Decimal(0) if row.status in ("cancelled", "draft") else row.gross - row.applied
    living = [one.clearing_date for one in applications if not one.is_reversed]
    return {
        "number": row.number,
        "order_number": row.order_number,
        "status": row.status,
        "customer_number": row.customer_number,
        "customer_name": row.customer_name,
        "legal_entity": row.legal_entity,
        "region": row.region,
        "issue_date": row.issue_date,
        "due_date": row.due_date,
        "cleared_on": max(living) if living and open_amount == 0 else None,
        "gross": {"amount": row.gross, "currency": row.currency},
        "open": {"amount": open_amount, "currency": row.currency},
        "disputed": row.is_disputed,
        "applications": [
            {
                "amount": {"amount": one.amount, "currency": one.currency},
                "clearing_date": one.clearing_date,
                "payment": one.reference,
                "reversed": one.is_reversed,
            }
            for one in applications
        ],
        "provenance": {
            "source": row.source,
            "changed_at": row.changed_at,
            "recorded_at": row.recorded_at,
            "raw_record_id": row.raw_record_id,
        },
    }


def customer_receivables(conn: Reading, number: str, *, on: date, currency: str) -> Mapping[str, Any] | None:
    """What the customer owes on `on`, in `currency`, in the shape of `lookups.Receivables`; None when the scope sees no such customer."""
    known = conn.execute(
        sa.text("select name from canonical.customer where number = :number and not is_deleted order by source limit 1"), {"number": number}
    ).first()
    if known is None:
        return None
    rows = {row.bucket: row for row in conn.execute(sa.text(_RECEIVABLES), {"number": number, "today": on})}
    median = conn.execute(sa.text(_MEDIAN), {"number": number}).scalar_one()

    def money(buckets: tuple[str, ...]) -> dict[str, Any]:
        return {"amount": sum((rows[b].amount or Decimal(0) for b in buckets if b in rows), Decimal(0)), "currency": currency}

    def count(buckets: tuple[str, ...]) -> int:
        return sum(rows[b].open_count for b in buckets if b in rows)

    late = _BUCKETS[1:5]
    return {
        "customer_name": known.name,
        "open": money(_BUCKETS),
        "overdue": money(late),
        "open_count": count(_BUCKETS),
        "overdue_count": count(late),
        "aging": [{"bucket": bucket, "amount": money((bucket,)), "count": count((bucket,))} for bucket in _BUCKETS],
        "median_days_to_pay": float(median) if median is not None else None,
    }


def customer_exposure(conn: Reading, number: str) -> Mapping[str, Any] | None:
    """The customer's maintained exposure row in the shape of `lookups.Exposure`; None when the scope sees none."""
    row = conn.execute(
        sa.text(
            "select e.*, exists (select from measure.breach b where b.party_id = e.party_id and b.cleared_at is null) as breached"
            " from measure.exposure e where e.number = :number order by e.exposure desc limit 1"
        ),
        {"number": number},
    ).first()
    if row is None:
        return None

    def money(amount: Decimal | None) -> dict[str, Any] | None:
        return None if amount is None else {"amount": amount, "currency": row.currency}

    return {
        "customer_name": row.name,
        "exposure": money(row.exposure),
        "limit": money(row.credit_limit),
        "limit_state": row.limit_state or "none",
        "utilisation": row.utilisation,
        "open_orders": money(row.open_orders),
        "open_receivables": money(row.open_receivables),
        "secured": money(row.secured),
        "breached": row.breached,
    }
